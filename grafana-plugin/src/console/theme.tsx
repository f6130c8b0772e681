import { createTheme, ThemeContext, type GrafanaTheme2 } from '@grafana/data';
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';

export type Choice = 'system' | 'light' | 'dark';
const key = 'nocturne.theme';
const fonts = { fontFamily: "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif", fontFamilyMonospace: "ui-monospace, 'Cascadia Mono', Consolas, 'DejaVu Sans Mono', monospace" };
const themes: Record<'light' | 'dark', GrafanaTheme2> = {
  light: createTheme({ colors: { mode: 'light' }, typography: fonts }),
  dark: createTheme({ colors: { mode: 'dark' }, typography: fonts }),
};

const ChoiceContext = createContext<{ choice: Choice; choose: (c: Choice) => void }>({ choice: 'system', choose: () => undefined });
export const useThemeChoice = () => useContext(ChoiceContext);

function kept(): Choice {
  const v = localStorage.getItem(key);
  return v === 'light' || v === 'dark' ? v : 'system';
}

/** The theme: the system's, or the one that was chosen here. */
export function Theme({ children }: { children: (theme: GrafanaTheme2) => ReactNode }) {
  const [choice, setChoice] = useState<Choice>(kept);
  const [dark, setDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches);
  useEffect(() => {
    const q = matchMedia('(prefers-color-scheme: dark)');
    const changed = () => setDark(q.matches);
    q.addEventListener('change', changed);
    return () => q.removeEventListener('change', changed);
  }, []);
  const mode = choice === 'system' ? (dark ? 'dark' : 'light') : choice;
  useEffect(() => {
    document.documentElement.dataset.theme = mode;
  }, [mode]);
  const value = useMemo(
    () => ({
      choice,
      choose: (c: Choice) => {
        localStorage.setItem(key, c);
        setChoice(c);
      },
    }),
    [choice]
  );
  return (
    <ChoiceContext.Provider value={value}>
      <ThemeContext.Provider value={themes[mode]}>{children(themes[mode])}</ThemeContext.Provider>
    </ChoiceContext.Provider>
  );
}
