import { t } from '@grafana/i18n';
import { Empty } from '../components/States';
import { Link } from '../components/Links';
import { useHost } from '../host';
import { link } from '../routes';

/** Where an address leads nowhere. */
export function NothingPage() {
  const { Page } = useHost();
  return (
    <Page title={t('nothing.title', 'There is no such page')}>
      <Empty icon="search" title={t('nothing.text', 'The address may be mistyped, or of another version.')}>
        <Link to={link.tonight()}>{t('nothing.back', 'Back to the first page')}</Link>
      </Empty>
    </Page>
  );
}
