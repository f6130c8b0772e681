import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { useStyles2 } from '@grafana/ui';
import { marked, type Token, type Tokens } from 'marked';
import { createContext, useContext, type ReactNode } from 'react';
import { clean } from '../format';

/** What leads to a text that emphasised words name; undefined = they are only emphasised. */
type Lead = (words: string) => (() => void) | undefined;
const Leads = createContext<Lead>(() => undefined);

/** Markdown as elements: text, lists, code and links to https. Whatever else it holds, HTML and pictures too, is shown as it was written. */
export function Markdown({ of, leads = () => undefined }: { of: string; leads?: Lead }) {
  return (
    <Leads.Provider value={leads}>
      <div className={useStyles2(styles)}>{each(marked.lexer(of))}</div>
    </Leads.Provider>
  );
}

const each = (tokens: Token[]): ReactNode => tokens.map((token, i) => <One key={i} of={token} />);

function Emphasis({ of: token }: { of: Tokens.Em }) {
  const go = useContext(Leads)(token.text.replace(/\s+/g, ' '));
  const words = <em>{each(token.tokens)}</em>;
  return go ? (
    <button type="button" onClick={go}>
      {words}
    </button>
  ) : (
    words
  );
}

function One({ of: token }: { of: Token }): ReactNode {
  switch (token.type) {
    case 'space':
      return null;
    case 'paragraph':
      return <p>{each((token as Tokens.Paragraph).tokens)}</p>;
    case 'heading':
      return <p><strong>{each((token as Tokens.Heading).tokens)}</strong></p>;
    case 'list': {
      const list = token as Tokens.List;
      const items = list.items.map((item, i) => <li key={i}>{each(item.tokens)}</li>);
      return list.ordered ? <ol start={Number(list.start) || 1}>{items}</ol> : <ul>{items}</ul>;
    }
    case 'code':
      return <pre tabIndex={0}>{shown((token as Tokens.Code).text)}</pre>;
    case 'codespan':
      return <code>{shown((token as Tokens.Codespan).text)}</code>;
    case 'em':
      return <Emphasis of={token as Tokens.Em} />;
    case 'strong':
      return <strong>{each((token as Tokens.Strong).tokens)}</strong>;
    case 'br':
      return <br />;
    case 'escape':
      return shown((token as Tokens.Escape).text);
    case 'link': {
      const to = token as Tokens.Link;
      return /^https?:\/\//.test(to.href) ? <a href={to.href} target="_blank" rel="noreferrer">{each(to.tokens)}</a> : shown(to.raw);
    }
    case 'text': {
      const text = token as Tokens.Text;
      return text.tokens ? each(text.tokens) : shown(text.text);
    }
    default:
      return shown(token.raw);
  }
}

const shown = (text: string) => <bdi>{clean(text, 20_000)}</bdi>;

const styles = (theme: GrafanaTheme2) =>
  css({
    overflowWrap: 'anywhere',
    maxWidth: '90ch',
    '& p': { margin: theme.spacing(0, 0, 1) },
    '& ol, & ul': { margin: theme.spacing(0, 0, 1), paddingLeft: theme.spacing(3) },
    '& li': { marginBottom: theme.spacing(0.5) },
    '& li > p': { margin: 0 },
    '& a': { color: theme.colors.text.link, textDecoration: 'underline' },
    '& button': { display: 'inline', padding: 0, border: 0, background: 'transparent', color: theme.colors.text.link, textDecoration: 'underline', textAlign: 'left', font: 'inherit', cursor: 'pointer' },
    '& pre': { whiteSpace: 'pre-wrap' },
  });
