import { t } from '@grafana/i18n';
import { Alert, Button } from '@grafana/ui';
import { Component, type ReactNode } from 'react';

/** Keeps a page that fails from taking the others with it. */
export class Boundary extends Component<{ children: ReactNode }, { error?: Error }> {
  state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  render() {
    if (!this.state.error) {
      return this.props.children;
    }
    return (
      <Alert severity="error" title={t('boundary.title', 'This page has failed')}>
        <p>{String(this.state.error.message).slice(0, 300)}</p>
        <Button size="sm" variant="secondary" onClick={() => this.setState({ error: undefined })}>
          {t('states.retry', 'Retry')}
        </Button>
      </Alert>
    );
  }
}
