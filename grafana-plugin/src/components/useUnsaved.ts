// Asks before what somebody wrote is lost. Grafana's router and the console's are of different kinds, and neither can be
// asked to wait: so a click on a link, and a step back in the history, are caught before either hears of them. For the
// step, an entry with the same address is laid on top of the page's own while something is unsaved: back leads from it
// to the page itself. Who goes back several entries at once is not asked.
import { t } from '@grafana/i18n';
import { useEffect, useRef } from 'react';

/** The link a click follows within this window and to another address; undefined = it leads nowhere else. */
export function followed(e: MouseEvent, here: Location): HTMLAnchorElement | undefined {
  const a = e.target instanceof Element ? e.target.closest('a[href]') : null;
  if (!(a instanceof HTMLAnchorElement) || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || (a.target && a.target !== '_self') || a.hasAttribute('download')) {
    return undefined;
  }
  return a.origin === here.origin && a.pathname + a.search !== here.pathname + here.search ? a : undefined;
}

/** What is on the page: each says whether something would be lost, by the question to ask then. */
const forms = new Set<() => string | undefined>();
const unsaved = () => [...forms].map((form) => form()).find(Boolean);

let leaves = false; // was asked, said yes, and is on the way

function stays(): boolean {
  const question = unsaved();
  leaves = Boolean(question) && window.confirm(question);
  return Boolean(question) && !leaves;
}

/** Asks, then does what leaves the page, such as logging out. When that fails, nobody has left. */
export async function leaving(deed: () => Promise<void>): Promise<void> {
  if (stays()) {
    return;
  }
  try {
    await deed();
  } catch (e) {
    leaves = false;
    throw e;
  }
}

/** Whether a form of this page may give way to another: nothing is unsaved, or its loss was agreed to. */
export const mayLose = () => !unsaved() || window.confirm(t('unsaved.askHere', 'What you wrote is not saved. Lose it?'));

/** The mark of the entry on top, in the history's state. */
const mark = 'nocturneUnsaved';
const onTop = () => Boolean((window.history.state as Record<string, unknown> | null)?.[mark]);
let below: string | undefined; // the path of the entry on top that we stand on, or stood on before a step
let arrived: (() => void) | undefined; // called when a step of our own is done

const step = (n: 1 | -1) =>
  new Promise<void>((done) => {
    arrived = done;
    window.history.go(n);
  });

/** Between a step back and our hearing of it a page may be drawn anew: below still says then that the entry is there. */
function lay() {
  if (!onTop() && !arrived && below !== window.location.pathname) {
    window.history.pushState({ ...(window.history.state as object | null), [mark]: true }, '');
    below = window.location.pathname;
  }
}

/** Takes the entry away, so that what comes next stands where it stood. */
async function take(): Promise<void> {
  below = undefined;
  if (onTop() && !arrived) {
    await step(-1);
  }
}

function clicked(e: MouseEvent) {
  const a = followed(e, window.location);
  if (!a || leaves || (!unsaved() && !onTop())) {
    return;
  }
  e.preventDefault();
  e.stopImmediatePropagation();
  if (!stays()) {
    void take().then(() => follow(a));
  }
}

/** Clicks again. Where a router follows the link that is all; where it does not, the window is about to be left. */
function follow(a: HTMLAnchorElement) {
  if (!a.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, composed: true, view: window }))) {
    leaves = false;
  }
}

/** Somebody stepped. Routers do not hear of what is ours. */
function stepped(e: PopStateEvent) {
  const page = below;
  below = onTop() ? window.location.pathname : undefined;
  if (arrived) {
    e.stopImmediatePropagation();
    arrived();
    arrived = undefined;
  } else if (page !== undefined && page === window.location.pathname && !onTop()) {
    e.stopImmediatePropagation();
    if (stays()) {
      void step(1);
    } else {
      window.history.back();
    }
  } else {
    leaves = false; // there
  }
}

function closes(e: BeforeUnloadEvent) {
  if (!leaves && unsaved()) {
    e.preventDefault();
  }
}

let listens = false;

/** For as long as the window: an entry may be left on top by a page that is gone. */
function listen() {
  if (!listens) {
    listens = true;
    window.addEventListener('click', clicked, true);
    window.addEventListener('popstate', stepped, true);
    window.addEventListener('beforeunload', closes);
  }
}

/**
 * While unsaved() is true, whoever leaves the page is asked first: by a link, a step back, or closing the window. Call what
 * it returns before leaving, or changing the address, without being asked. question is for what is not written but shown.
 */
export function useUnsaved(mine: () => boolean, question?: string): () => Promise<void> {
  const ask = useRef<() => string | undefined>(() => undefined);
  useEffect(() => {
    const form = () => ask.current();
    const path = window.location.pathname;
    listen();
    if (forms.size === 0) {
      below = onTop() ? path : undefined; // whatever a page before left
    }
    forms.add(form);
    return () => {
      forms.delete(form);
      if (forms.size === 0) {
        leaves = false;
      }
      if (window.location.pathname === path && !unsaved()) {
        void take(); // the form is closed, the page stays
      }
    };
  }, []);
  useEffect(() => {
    ask.current = () => (mine() ? question ?? t('unsaved.ask', 'What you wrote is not saved. Leave the page and lose it?') : undefined);
    if (mine()) {
      lay();
    }
  });
  return take;
}
