// The host "Grafana": questions go through the plugin's backend, changes come over Grafana Live.
import { LiveChannelScope, isLiveChannelMessageEvent, isLiveChannelStatusEvent, LiveChannelConnectionState, type AppRootProps } from '@grafana/data';
import { getBackendSrv, getGrafanaLiveSrv, PluginPage } from '@grafana/runtime';
import { useMemo } from 'react';
import { lastValueFrom, NEVER, Observable, takeUntil, tap } from 'rxjs';
import { lineReader } from '../api/lines';
import { App } from '../App';
import type { Host, PageProps } from '../host';
import { explore, type Settings } from './explore';
import pluginJson from '../plugin.json';
import { pluginBase } from '../routes';

export const host: Host = {
  base: pluginBase,
  stickyTop: 40, // its own bar
  logsIn: false,

  async ask({ method, path, query, body, signal }) {
    const search = query?.toString();
    try {
      const answer = await lastValueFrom(
        getBackendSrv().fetch<unknown>({
          // Grafana decodes the path once before the backend sees it.
          url: `api/plugins/${pluginJson.id}/resources/api/v1${path.replaceAll('%', '%25')}${search ? '?' + search : ''}`,
          method,
          data: body,
          showErrorAlert: false,
          showSuccessAlert: false,
          abortSignal: signal,
        })
      );
      return { status: answer.status, json: answer.data, date: Date.parse(answer.headers.get('Date') ?? '') };
    } catch (e) {
      const refused = e as { status?: number; data?: unknown };
      if (!refused.status) {
        throw e;
      }
      return { status: refused.status, json: refused.data, date: NaN };
    }
  },

  // The plugin's backend passes each line on at once, and so does Grafana; a proxy before it, or its own compression
  // (server.enable_gzip), may keep them back until the end.
  async lines({ method, path, query, body, signal }, tell) {
    const search = query?.toString();
    const pieces: Uint8Array[] = [];
    let typ = '';
    const read = lineReader(tell);
    try {
      const answer = await lastValueFrom(
        getBackendSrv()
          .chunked({ url: `api/plugins/${pluginJson.id}/resources/api/v1${path.replaceAll('%', '%25')}${search ? '?' + search : ''}`, method, data: body, showErrorAlert: false })
          .pipe(
            takeUntil(aborted(signal)), // its own abortSignal is not heard: whoever unsubscribes hangs up
            tap((piece) => {
              typ ||= piece.headers.get('Content-Type') ?? '';
              if (piece.data && typ.includes('ndjson')) {
                read(piece.data);
              } else if (piece.data) {
                pieces.push(piece.data);
              }
            })
          )
      );
      return { status: answer.status, json: parsed(pieces), date: Date.parse(answer.headers.get('Date') ?? '') };
    } catch (e) {
      const refused = e as { status?: number; data?: unknown };
      if (!refused.status) {
        throw e;
      }
      return { status: refused.status, json: refused.data ?? parsed(pieces), date: NaN };
    }
  },

  follow(listen, open) {
    const stream = getGrafanaLiveSrv().getStream<Frame>({ scope: LiveChannelScope.Plugin, stream: pluginJson.id, namespace: pluginJson.id, path: 'changes' });
    let away = false;
    const subscription = stream.subscribe((e) => {
      if (isLiveChannelStatusEvent(e)) {
        open(!away && e.state === LiveChannelConnectionState.Connected);
        return;
      }
      if (!isLiveChannelMessageEvent(e)) {
        return;
      }
      for (const event of eventsOf(e.message)) {
        if (event === 'away' || event === 'back') {
          away = event === 'away';
          open(!away);
        }
        if (event !== 'away') {
          listen({ kind: event === 'notification' || event === 'server' ? event : 'reset', data: null });
        }
      }
    });
    return () => subscription.unsubscribe();
  },

  Page({ title, actions, subtitle, children }: PageProps) {
    return (
      <PluginPage pageNav={{ text: title }} actions={actions} subTitle={subtitle}>
        {children}
      </PluginPage>
    );
  },
};

/** Fails when signal says that it is over. */
const aborted = (signal?: AbortSignal): Observable<never> =>
  signal
    ? new Observable((o) => {
        const end = () => o.error(signal.reason);
        if (signal.aborted) {
          end();
        }
        signal.addEventListener('abort', end);
        return () => signal.removeEventListener('abort', end);
      })
    : NEVER;

function parsed(pieces: Uint8Array[]): unknown {
  const decoder = new TextDecoder();
  const text = pieces.map((p) => decoder.decode(p, { stream: true })).join('');
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A data frame as Grafana Live brings it; the schema comes with the first one only. */
interface Frame {
  data?: { values?: unknown[][] };
}

/** The column "event" of the frames that the plugin's backend sends: time, event, id, data. */
const eventColumn = 1;

export const eventsOf = (frame: Frame): string[] => (frame.data?.values?.[eventColumn] ?? []).map(String);

export default function GrafanaApp({ meta }: AppRootProps<Settings>) {
  const { metricsUid, logsUid } = meta.jsonData ?? {};
  const full = useMemo<Host>(() => ({ ...host, explore: explore({ metricsUid, logsUid }) }), [metricsUid, logsUid]);
  return <App host={full} />;
}
