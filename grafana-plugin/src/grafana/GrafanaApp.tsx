// The host "Grafana": questions go through the plugin's backend, changes come over Grafana Live.
import { LiveChannelScope, isLiveChannelMessageEvent, isLiveChannelStatusEvent, LiveChannelConnectionState, type AppRootProps } from '@grafana/data';
import { getBackendSrv, getGrafanaLiveSrv, PluginPage } from '@grafana/runtime';
import { lastValueFrom } from 'rxjs';
import { App } from '../App';
import type { Host, PageProps } from '../host';
import pluginJson from '../plugin.json';
import { pluginBase } from '../routes';

const host: Host = {
  base: pluginBase,
  stickyTop: 40, // its own bar

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

/** A data frame as Grafana Live brings it; the schema comes with the first one only. */
interface Frame {
  data?: { values?: unknown[][] };
}

/** The column "event" of the frames that the plugin's backend sends: time, event, id, data. */
const eventColumn = 1;

export const eventsOf = (frame: Frame): string[] => (frame.data?.values?.[eventColumn] ?? []).map(String);

export default function GrafanaApp(_: AppRootProps) {
  return <App host={host} />;
}
