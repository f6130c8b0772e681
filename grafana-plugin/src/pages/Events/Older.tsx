import { t } from '@grafana/i18n';
import { Button } from '@grafana/ui';

/** The ways of a list that is only known page by page. */
export function Older({ older, next, newest, go }: { older: boolean; next: string | null; newest: () => void; go: () => void }) {
  return (
    <>
      {older && (
        <Button variant="secondary" size="sm" onClick={newest}>
          {t('changes.first', 'The newest')}
        </Button>
      )}{' '}
      {next && (
        <Button variant="secondary" size="sm" onClick={go}>
          {t('changes.next', 'Older')}
        </Button>
      )}
    </>
  );
}
