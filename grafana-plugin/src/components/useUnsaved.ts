// Asks before what somebody wrote is lost. Grafana's router and the console's are of different kinds, and neither can be
// asked to wait: so a click on a link is caught before either hears of it. A step back in the history is not.
import { t } from '@grafana/i18n';
import { useEffect, useRef } from 'react';

/** The address a click leads to within this window and off this page; undefined = it leads nowhere else. */
export function leadsTo(e: MouseEvent, here: Location): string | undefined {
  const a = e.target instanceof Element ? e.target.closest('a[href]') : null;
  if (!(a instanceof HTMLAnchorElement) || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || (a.target && a.target !== '_self') || a.hasAttribute('download')) {
    return undefined;
  }
  return a.origin === here.origin && a.pathname !== here.pathname ? a.href : undefined;
}

/** While unsaved() is true, whoever leaves the page is asked first: by a link, or closing the window. */
export function useUnsaved(unsaved: () => boolean) {
  const ask = useRef(unsaved);
  useEffect(() => {
    ask.current = unsaved;
  });
  useEffect(() => {
    let leaves = false; // was asked, and said yes
    const stays = () => {
      leaves ||= !ask.current() || window.confirm(t('unsaved.ask', 'What you wrote is not saved. Leave the page and lose it?'));
      return !leaves;
    };
    const click = (e: MouseEvent) => {
      if (leadsTo(e, window.location) && stays()) {
        e.preventDefault();
        e.stopImmediatePropagation();
      }
    };
    const close = (e: BeforeUnloadEvent) => !leaves && ask.current() && e.preventDefault();
    window.addEventListener('click', click, true);
    window.addEventListener('beforeunload', close);
    return () => {
      window.removeEventListener('click', click, true);
      window.removeEventListener('beforeunload', close);
    };
  }, []);
}
