// The YAML editor: CodeMirror in a shadow root, because its styles are then sheets that the root adopts, which no content
// security policy minds, and not elements with text in them.
import { autocompletion, closeBrackets, completionKeymap, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, HighlightStyle, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from '@codemirror/lint';
import { Compartment, EditorState, type Text } from '@codemirror/state';
import { EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useTheme2 } from '@grafana/ui';
import { tags } from '@lezer/highlight';
import { useEffect, useLayoutEffect, useRef } from 'react';
import type { RuleMistake } from '../../api/schema';
import { clean } from '../../format';
import { keysAt } from './keys';

interface Props {
  value: string;
  onChange: (text: string) => void;
  mistakes: RuleMistake[];
  label: string;
  /** where the cursor is to go; a new object each time */
  jump?: { line: number; column: number };
}

/** Where a mistake is: from its column to the end of the word. */
export function place(doc: Text, m: { line: number; column: number }): { from: number; to: number } {
  const line = doc.line(Math.min(Math.max(1, m.line), doc.lines));
  const from = Math.min(line.from + Math.max(0, m.column - 1), line.to);
  const word = /^[^\s:,[\]{}]+/.exec(line.text.slice(from - line.from));
  return { from, to: Math.min(line.to, from + (word?.[0].length ?? 1)) };
}

function complete(c: CompletionContext): CompletionResult | null {
  const word = c.matchBefore(/[a-z_]*/);
  const line = c.state.doc.lineAt(c.pos);
  const before = c.state.sliceDoc(line.from, word?.from ?? c.pos);
  if (!word || !/(^\s*(- )?|[{,]\s*)$/.test(before) || (word.from === word.to && !c.explicit)) {
    return null;
  }
  return { from: word.from, options: keysAt(c.state.sliceDoc(0, line.from), before).map(([label, detail]) => ({ label, detail, apply: label + ': ', type: 'property' })) };
}

export default function Editor({ value, onChange, mistakes, label, jump }: Props) {
  const theme = useTheme2();
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>();
  const look = useRef(new Compartment());
  const wrong = useRef(new Compartment());
  const said = useRef<HTMLElement>(); // for the ears; ids are not known beyond the shadow root
  const change = useRef(onChange);
  useEffect(() => {
    change.current = onChange;
  });
  const first = useRef({ value, label, theme });
  useEffect(() => {
    const host = box.current as HTMLDivElement;
    const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
    const parent = document.createElement('div');
    const description = Object.assign(document.createElement('p'), { id: 'mistakes', hidden: true });
    said.current = description;
    root.replaceChildren(parent, description);
    const v = new EditorView({
      parent,
      root,
      state: EditorState.create({
        doc: first.current.value,
        extensions: [
          lineNumbers(), lintGutter(), history(), bracketMatching(), closeBrackets(), highlightActiveLine(), indentUnit.of('  '), yaml(),
          autocompletion({ override: [complete], icons: false }),
          keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap, ...lintKeymap, indentWithTab]),
          EditorView.contentAttributes.of({ 'aria-label': first.current.label, spellcheck: 'false', autocapitalize: 'off' }),
          EditorView.updateListener.of((u) => u.docChanged && change.current(u.state.doc.toString())),
          look.current.of(looks(first.current.theme)),
          wrong.current.of([]),
        ],
      }),
    });
    v.scrollDOM.tabIndex = 0; // long lines scroll by the keyboard
    view.current = v;
    return () => {
      view.current = undefined;
      v.destroy();
    };
  }, []);
  useEffect(() => {
    view.current?.dispatch({ effects: look.current.reconfigure(looks(theme)) });
  }, [theme]);
  // Before the next key: else that would be undone by the text before it.
  useLayoutEffect(() => {
    const v = view.current;
    if (v && v.state.doc.toString() !== value) {
      v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: value } });
    }
  }, [value]);
  useEffect(() => {
    const v = view.current;
    if (v) {
      const all = mistakes.map((m): Diagnostic => ({ ...place(v.state.doc, m), severity: 'error', message: clean(m.hint ? `${m.text}: ${m.hint}` : m.text, 600) }));
      v.dispatch(setDiagnostics(v.state, all.sort((a, b) => a.from - b.from)));
      const text = mistakes.map((m) => `${t('edit.line', 'line {{line}}, {{column}}', { line: m.line, column: m.column })}: ${clean(m.text, 200)}`).join('. ');
      if (said.current && said.current.textContent !== text) {
        said.current.textContent = text;
        v.dispatch({ effects: wrong.current.reconfigure(text ? EditorView.contentAttributes.of({ 'aria-invalid': 'true', 'aria-describedby': 'mistakes' }) : []) });
      }
    }
  }, [mistakes]);
  useEffect(() => {
    const v = view.current;
    if (v && jump) {
      v.dispatch({ selection: { anchor: place(v.state.doc, jump).from }, scrollIntoView: true });
      v.focus();
    }
  }, [jump]);
  return <div ref={box} />;
}

const looks = (theme: GrafanaTheme2) => [
  EditorView.theme(
    {
      '&': { color: theme.colors.text.primary, backgroundColor: theme.colors.background.primary, fontSize: '13px', border: `1px solid ${theme.colors.border.medium}`, borderRadius: theme.shape.radius.default },
      '&.cm-focused': { outline: `2px solid ${theme.colors.primary.main}` },
      '.cm-scroller': { fontFamily: theme.typography.fontFamilyMonospace, lineHeight: '1.6', minHeight: '320px', maxHeight: '70vh' },
      '.cm-content': { caretColor: theme.colors.text.primary },
      '.cm-cursor': { borderLeftColor: theme.colors.text.primary },
      '.cm-gutters': { backgroundColor: theme.colors.background.secondary, color: theme.colors.text.secondary, borderRight: `1px solid ${theme.colors.border.weak}` },
      '.cm-activeLine': { backgroundColor: 'transparent' },
      '.cm-tooltip': { color: theme.colors.text.primary, backgroundColor: theme.colors.background.primary, border: `1px solid ${theme.colors.border.medium}` },
      '.cm-tooltip-autocomplete > ul > li[aria-selected]': { color: theme.colors.primary.contrastText, backgroundColor: theme.colors.primary.main },
      '.cm-completionDetail': { color: theme.colors.text.secondary, fontStyle: 'normal', marginLeft: '1em' },
      'li[aria-selected] .cm-completionDetail': { color: 'inherit' },
    },
    { dark: theme.isDark }
  ),
  syntaxHighlighting(
    HighlightStyle.define([
      { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: theme.colors.primary.text },
      { tag: tags.string, color: theme.colors.success.text },
      { tag: [tags.comment, tags.lineComment], color: theme.colors.text.secondary, fontStyle: 'italic' },
      { tag: tags.invalid, color: theme.colors.error.text },
    ])
  ),
];
