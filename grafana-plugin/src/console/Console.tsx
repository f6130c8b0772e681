import { injectGlobal } from '@emotion/css';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { BrowserRouter, Route, Routes } from 'react-router-dom';
import { App } from '../App';
import { consolePaths } from '../routes';
import { AccountPage } from './AccountPage';
import { consoleHost } from './host';
import { LoginPage } from './LoginPage';
import { Theme } from './theme';
import { WelcomePage } from './WelcomePage';

const more = { [consolePaths.account]: AccountPage };

// The frame is ours to its edges.
injectGlobal({ 'html, body': { margin: 0, minHeight: '100%' } });

export function Console() {
  return (
    <Theme>
      {() => (
        <BrowserRouter>
          <GlobalStyles />
          <Routes>
            <Route path={consolePaths.login} element={<LoginPage host={consoleHost} />} />
            <Route path={consolePaths.welcome} element={<WelcomePage host={consoleHost} />} />
            <Route path="*" element={<App host={consoleHost} more={more} />} />
          </Routes>
          <PortalContainer />
        </BrowserRouter>
      )}
    </Theme>
  );
}
