import { AppPlugin, type AppRootProps } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { lazy, Suspense } from 'react';
import pluginJson from './plugin.json';

const GrafanaApp = lazy(async () => {
  await initPluginTranslations(pluginJson.id, [(language) => fetchLocale(language)]);
  return import('./grafana/GrafanaApp');
});
const Config = lazy(async () => {
  await initPluginTranslations(pluginJson.id, [(language) => fetchLocale(language)]);
  return import('./grafana/ConfigPage');
});

// English stands in the pages themselves; other languages come as files beside module.js.
const fetchLocale = async (_language: string) => ({});

const Root = (props: AppRootProps) => (
  <Suspense fallback={null}>
    <GrafanaApp {...props} />
  </Suspense>
);

export const plugin = new AppPlugin().setRootPage(Root).addConfigPage({
  title: 'Configuration',
  icon: 'cog',
  id: 'configuration',
  body: (props) => (
    <Suspense fallback={null}>
      <Config {...props} />
    </Suspense>
  ),
});
