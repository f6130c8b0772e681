// Asks before what somebody wrote is lost. Grafana's router and the console's are of different kinds, and neither can be
// asked to wait: so a click on a link, and a step back in the history, are caught before either hears of them. For the
// step, an entry with the same address is laid on top of the page's own while something is unsaved: back leads from it
// to the page itself. Who goes back several entries at once is not asked.
import { t } from '@grafana/i18n';
import { useEffect, useRef, useState } from 'react';

/** The link a click follows within this window and off this page; undefined = it leads nowhere else. */
export function followed(e: MouseEvent, here: Location): HTMLAnchorElement | undefined {
  const a = e.target instanceof Element ? e.target.closest('a[href]') : null;
  if (!(a instanceof HTMLAnchorElement) || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || (a.target && a.target !== '_self') || a.hasAttribute('download')) {
    return undefined;
  }
  return a.origin === here.origin && a.pathname !== here.pathname ? a : undefined;
}

/** The entry on top of the page's own. */
function topEntry() {
  let path: string | undefined; // of the page, while the entry is there
  let arrived: (() => void) | undefined; // called when a step of our own is done
  const step = (n: 1 | -1) =>
    new Promise<void>((done) => {
      arrived = done;
      window.history.go(n);
    });
  return {
    there: () => path !== undefined,
    lay() {
      if (path === undefined && !arrived) {
        window.history.pushState(window.history.state, '');
        path = window.location.pathname;
      }
    },
    /** Takes it away, so that what comes next stands where it stood; false = it was not there. */
    async take(): Promise<boolean> {
      if (path === undefined) {
        return false;
      }
      path = undefined;
      await step(-1);
      return true;
    },
    /** Somebody stepped; stays() says whether the page is to be left. Routers do not hear of what is ours. */
    stepped(e: PopStateEvent, stays: () => boolean) {
      if (arrived) {
        e.stopImmediatePropagation();
        arrived();
        arrived = undefined;
      } else if (path !== undefined && path === window.location.pathname) {
        const page = path;
        e.stopImmediatePropagation();
        path = undefined;
        if (stays()) {
          void step(1).then(() => (path = page));
        } else {
          window.history.back();
        }
      }
    },
  };
}

/**
 * While unsaved() is true, whoever leaves the page is asked first: by a link, a step back, or closing the window. Call what
 * it returns before leaving without being asked.
 */
export function useUnsaved(unsaved: () => boolean): () => Promise<unknown> {
  const ask = useRef(unsaved);
  const [top] = useState(topEntry);
  useEffect(() => {
    ask.current = unsaved;
    if (unsaved()) {
      top.lay();
    }
  });
  useEffect(() => {
    let leaves = false; // was asked, and said yes
    const stays = () => {
      leaves ||= !ask.current() || window.confirm(t('unsaved.ask', 'What you wrote is not saved. Leave the page and lose it?'));
      return !leaves;
    };
    const click = (e: MouseEvent) => {
      const a = followed(e, window.location);
      if (!a || leaves || (!ask.current() && !top.there())) {
        return;
      }
      e.preventDefault();
      e.stopImmediatePropagation();
      if (!stays()) {
        void top.take().then(() => a.click());
      }
    };
    const step = (e: PopStateEvent) => top.stepped(e, stays);
    const close = (e: BeforeUnloadEvent) => !leaves && ask.current() && e.preventDefault();
    window.addEventListener('click', click, true);
    window.addEventListener('popstate', step, true);
    window.addEventListener('beforeunload', close);
    return () => {
      window.removeEventListener('click', click, true);
      window.removeEventListener('popstate', step, true);
      window.removeEventListener('beforeunload', close);
    };
  }, [top]);
  return top.take;
}
