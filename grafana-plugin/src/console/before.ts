// Runs before everything else.
Object.assign(window, {
  // Grafana's components look for their icons below it.
  __grafana_public_path__: '/built/',
  // zod would find out by trying whether text may become code here: it may not.
  __zod_globalConfig: { jitless: true },
});
export {};
