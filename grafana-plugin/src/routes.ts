// Every path is named here once; pages, navigation, links and tests build theirs from it. plugin.json repeats them for
// Grafana's navigation, and routes.test.ts compares.

export const paths = {
  tonight: '/tonight',
  notifications: '/notifications',
  notification: '/notifications/:id',
  servers: '/servers',
  server: '/servers/:id',
  register: '/register',
  silent: '/silent',
  changes: '/changes',
  planned: '/planned',
  work: '/planned/:id',
  rules: '/rules',
  ruleNew: '/rules/new',
  rule: '/rules/:id',
  ruleEdit: '/rules/:id/edit',
  events: '/events',
  event: '/events/:id',
  devices: '/devices',
  serial: '/devices/serial',
  delivered: '/delivered',
  pipeline: '/pipeline',
  add: '/add',
  settings: '/settings',
} as const;

/** Pages that only the console has: in Grafana people log in to Grafana. */
export const consolePaths = {
  login: '/login',
  welcome: '/welcome',
  account: '/account',
} as const;

/** Where an app plugin's pages are in Grafana. */
export const pluginBase = '/a/nocturne-fleet-app';

type Query = Record<string, string | number | boolean | undefined>;

/** "/servers" and {site: "north"} → "/servers?site=north"; what is undefined or empty is left out. */
export function withQuery(path: string, query: Query): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) {
    if (v !== undefined && v !== '') {
      q.set(k, String(v));
    }
  }
  const s = q.toString();
  return s ? `${path}?${s}` : path;
}

export const link = {
  tonight: () => paths.tonight,
  notifications: (query: Query = {}) => withQuery(paths.notifications, query),
  notification: (id: string) => `/notifications/${encodeURIComponent(id)}`,
  servers: (query: Query = {}) => withQuery(paths.servers, query),
  server: (id: string, query: Query = {}) => withQuery(`/servers/${encodeURIComponent(id)}`, query),
  register: (query: Query = {}) => withQuery(paths.register, query),
  silent: () => paths.silent,
  changes: (query: Query = {}) => withQuery(paths.changes, query),
  /** new: a form; name, site …: with these; copy: like that one */
  planned: (query: Query = {}) => withQuery(paths.planned, query),
  work: (id: string) => `/planned/${encodeURIComponent(id)}`,
  rules: (query: Query = {}) => withQuery(paths.rules, query),
  rule: (id: string) => `/rules/${encodeURIComponent(id)}`,
  /** copy: the id of a rule whose text is the beginning */
  ruleNew: (query: Query = {}) => withQuery(paths.ruleNew, query),
  ruleEdit: (id: string) => `/rules/${encodeURIComponent(id)}/edit`,
  events: (query: Query = {}) => withQuery(paths.events, query),
  event: (id: string) => `/events/${encodeURIComponent(id)}`,
  devices: (query: Query = {}) => withQuery(paths.devices, query),
  /** A serial number may be any text: in a path some proxies would change it. */
  serial: (number: string, type?: string) => withQuery(paths.serial, { number, type }),
  delivered: () => paths.delivered,
  pipeline: () => paths.pipeline,
  add: () => paths.add,
  settings: (query: Query = {}) => withQuery(paths.settings, query),
};

/** Where a link of an earlier version leads: its page stood behind the #. undefined = it names none that there is. */
export function fromHash(hash: string): string | undefined {
  const [, page, id] = /^#\/(notifications|servers|silent|changes|delivered|pipeline|add)(?:\/([0-9A-Za-z-]{1,64}))?\/?(?:\?.*)?$/.exec(hash) ?? [];
  if (!page) {
    return undefined;
  }
  return id === undefined ? `/${page}` : page === 'notifications' ? link.notification(id) : page === 'servers' ? link.server(id) : undefined;
}
