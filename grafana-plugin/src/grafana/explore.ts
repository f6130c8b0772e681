// Grafana's own pages about the same things: the dashboards of ../../../dashboards, and Explore.
import { locationUtil } from '@grafana/data';
import type { Explore } from '../host';

/** What of the app's settings names data sources. */
export interface Settings {
  metricsUid?: string;
  logsUid?: string;
}

const lastDay = { from: 'now-24h', to: 'now' };
const between = (from: number, to: number) => ({ from: String(Math.floor(from)), to: String(Math.ceil(to)) });

const logsType = 'victoriametrics-logs-datasource';

/**
 * Explore with queries; null without a data source.
 * https://grafana.com/docs/grafana/latest/explore/get-started-with-explore/#generate-explore-urls-from-external-tools
 */
function pane(type: string, uid: string | undefined, range: typeof lastDay, queries: Array<Record<string, unknown>>): string | null {
  if (!uid) {
    return null;
  }
  const datasource = { type, uid };
  const asked = queries.map((q, i) => ({ refId: String.fromCharCode(65 + i), datasource, ...q }));
  return at(`/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify({ a: { datasource: uid, queries: asked, range } }))}`);
}

/** With the path that Grafana is served under. */
const at = (path: string) => locationUtil.assureBaseUrl(path);

/** The addresses; a name is a text in quotes there, whatever it holds. */
export function explore({ metricsUid, logsUid }: Settings): Explore {
  return {
    dashboard: (of, server) => at(`/d/nocturne-${of}${server === undefined ? '' : `?var-server=${encodeURIComponent(server)}`}`),
    metrics: (queries, from, to) =>
      pane(
        'prometheus',
        metricsUid,
        between(from, to),
        queries.map((expr) => ({ expr, range: true, editorMode: 'code' }))
      ),
    events: (server) => pane(logsType, logsUid, lastDay, [{ expr: `category:=eventlog server:=${JSON.stringify(server)}`, queryType: 'instant', editorMode: 'code' }]),
    logs: (query, from, to) => pane(logsType, logsUid, between(from, to), [{ expr: query, queryType: 'instant' }]),
  };
}
