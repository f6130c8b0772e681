// The pages, wherever they run.
import { t } from '@grafana/i18n';
import { Spinner } from '@grafana/ui';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { lazy, Suspense, useState, type ComponentType } from 'react';
import { Navigate, Route, Routes, useLocation } from 'react-router-dom';
import { Refusal } from './api/client';
import { Live } from './api/live';
import { Boundary } from './components/Boundary';
import { HostProvider, useHost, type Host } from './host';
import { fromHash, paths } from './routes';
import { TonightPage } from './pages/Tonight/TonightPage';
import { NothingPage } from './pages/NothingPage';

const page = {
  notifications: lazy(() => import('./pages/Notifications/NotificationsPage')),
  notification: lazy(() => import('./pages/Notification/NotificationPage')),
  servers: lazy(() => import('./pages/Servers/ServersPage')),
  server: lazy(() => import('./pages/Server/ServerPage')),
  register: lazy(() => import('./pages/Register/RegisterPage')),
  silent: lazy(() => import('./pages/Silent/SilentPage')),
  changes: lazy(() => import('./pages/Changes/ChangesPage')),
  planned: lazy(() => import('./pages/Planned/PlannedPage')),
  work: lazy(() => import('./pages/Planned/WorkPage')),
  rules: lazy(() => import('./pages/Rules/RulesPage')),
  ruleNew: lazy(() => import('./pages/Rules/EditPage')),
  rule: lazy(() => import('./pages/Rules/RulePage')),
  ruleEdit: lazy(() => import('./pages/Rules/EditPage')),
  events: lazy(() => import('./pages/Events/EventsPage')),
  event: lazy(() => import('./pages/Event/EventPage')),
  devices: lazy(() => import('./pages/Devices/DevicesPage')),
  serial: lazy(() => import('./pages/Serial/SerialPage')),
  delivered: lazy(() => import('./pages/Delivered/DeliveredPage')),
  pipeline: lazy(() => import('./pages/Pipeline/PipelinePage')),
  add: lazy(() => import('./pages/Add/AddPage')),
  settings: lazy(() => import('./pages/Settings/SettingsPage')),
};

function newClient() {
  return new QueryClient({
    defaultOptions: {
      queries: {
        retry: (n, error) => n < 2 && (!(error instanceof Refusal) || error.status === 0 || (error.status >= 500 && error.status !== 504)),
        retryDelay: 1000,
        staleTime: 1000,
        refetchIntervalInBackground: false,
      },
    },
  });
}

/** The frame, while the page's own code comes. */
function Waiting() {
  const { Page } = useHost();
  return (
    <Page title={t('states.loading', 'Loading…')}>
      <Spinner />
    </Page>
  );
}

/** The first page, or what the address of a message from an earlier version (/#/notifications/ID) means. */
function First() {
  const { base } = useHost();
  const { hash } = useLocation();
  return <Navigate to={base + (fromHash(hash) ?? paths.tonight)} replace />;
}

/** The pages in their host; more are pages that only this host has, by their path. */
export function App({ host, more = {} }: { host: Host; more?: Record<string, ComponentType> }) {
  const [client] = useState(newClient);
  return (
    <HostProvider value={host}>
      <QueryClientProvider client={client}>
        <Live>
          <Suspense fallback={<Waiting />}>
            <Routes>
              <Route path="/" element={<First />} />
              <Route path={paths.tonight} element={<Boundary><TonightPage /></Boundary>} />
              {(Object.keys(page) as Array<keyof typeof page>).map((name) => {
                const Page = page[name];
                return <Route key={name} path={paths[name]} element={<Boundary><Page /></Boundary>} />;
              })}
              {Object.entries(more).map(([path, Page]) => (
                <Route key={path} path={path} element={<Boundary><Page /></Boundary>} />
              ))}
              <Route path="*" element={<NothingPage />} />
            </Routes>
          </Suspense>
        </Live>
      </QueryClientProvider>
    </HostProvider>
  );
}
