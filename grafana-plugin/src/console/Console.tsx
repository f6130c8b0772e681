import { injectGlobal } from '@emotion/css';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { BrowserRouter } from 'react-router-dom';
import { App } from '../App';
import { consoleHost } from './host';
import { Theme } from './theme';

// The frame is ours to its edges.
injectGlobal({ 'html, body': { margin: 0, minHeight: '100%' } });

export function Console() {
  return (
    <Theme>
      {() => (
        <BrowserRouter>
          <GlobalStyles />
          <App host={consoleHost} />
          <PortalContainer />
        </BrowserRouter>
      )}
    </Theme>
  );
}
