import { RuleTester } from 'eslint';
import { describe, it } from 'node:test';
import { visibleText } from './visible-text.mjs';

Object.assign(RuleTester, { describe, it });
const tester = new RuleTester({ languageOptions: { parserOptions: { ecmaFeatures: { jsx: true } } } });
const wrong = (code, errors = 1) => ({ code, errors });

tester.run('visible-text', visibleText, {
  valid: [
    "<p>{t('a.b', 'Some text')}</p>",
    "<p title={t('a.b', 'Some text')}>{n} · {x ? t('a', 'Yes') : null}</p>",
    '<p>{a} → {b} (1)</p>',
    '<code>rules.builtin: true</code>',
    '<pre>{`ruler ${x}`}</pre>',
    '<Icon name="lock" type="text" className="wide" />',
    "<Pick name={t('a', 'Kind')} value=\"two words\" />",
    "<p>{list.map((l) => l === 'file' && <b>{l}</b>)}</p>",
    "<p>{kind === 'file' ? one : other}</p>",
    '<p style={{ color: "red" }} />',
    '<h1>Nocturne</h1>',
  ],
  invalid: [
    wrong('<p>Some text</p>'),
    wrong('<>Some text {n}</>'),
    wrong("<p>{'Some text'}</p>"),
    wrong('<p>{`${n} servers`}</p>'),
    wrong("<p>{one ? 'One server' : `${n} servers`}</p>", 2),
    wrong("<p>{n > 1 && 'many'}</p>"),
    wrong("<p>{n + ' servers'}</p>"),
    wrong('<p title="Some text" />'),
    wrong("<p aria-label={open ? 'Close' : t('a', 'Open')} />"),
    wrong('<Pick name="Kind" />'),
    wrong('<Input placeholder={`part of ${x}`} />'),
  ],
});
