// Grafana's own pages about the same things: the dashboards of ../../../dashboards, and Explore.
import type { Explore } from '../host';

/** What of the app's settings names data sources. */
export interface Settings {
  metricsUid?: string;
  logsUid?: string;
}

const time = { from: 'now-24h', to: 'now' };

const logsType = 'victoriametrics-logs-datasource';

/**
 * Explore with one query; null without a data source.
 * https://grafana.com/docs/grafana/latest/explore/get-started-with-explore/#generate-explore-urls-from-external-tools
 */
function pane(type: string, uid: string | undefined, query: Record<string, unknown>, range = time): string | null {
  if (!uid) {
    return null;
  }
  const datasource = { type, uid };
  const panes = { a: { datasource: uid, queries: [{ refId: 'A', datasource, ...query }], range } };
  return `/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify(panes))}`;
}

/** The addresses; a name is a text in quotes there, whatever it holds. */
export function explore({ metricsUid, logsUid }: Settings): Explore {
  return {
    dashboard: (of, server) => `/d/nocturne-${of}${server === undefined ? '' : `?var-server=${encodeURIComponent(server)}`}`,
    metrics: (server) => pane('prometheus', metricsUid, { expr: `{server=${JSON.stringify(server)}}`, range: true, editorMode: 'code' }),
    events: (server) => pane(logsType, logsUid, { expr: `category:=eventlog server:=${JSON.stringify(server)}`, queryType: 'instant', editorMode: 'code' }),
  };
}

/** Explore with records of VictoriaLogs between two times in ms. */
export function exploreLogs(uid: string, query: string, from: number, to: number): string {
  return pane(logsType, uid, { expr: query, queryType: 'instant' }, { from: String(Math.floor(from)), to: String(Math.ceil(to)) })!;
}
