// The ruler's stream of changes, for as long as somebody listens.
import type { LiveEvent } from '../host';

const kinds: Array<LiveEvent['kind']> = ['notification', 'server', 'reset'];
const longest = 60_000; // ms between two attempts

/**
 * A browser comes back by itself when a connection breaks, and says what it heard last; but an answer that is no stream
 * (a proxy whose ruler is away, a limit) ends it for good. Then it is opened anew, after waits that grow, and everything
 * is asked for once, because nobody knows what was told meanwhile.
 */
export function followStream(url: string, listen: (e: LiveEvent) => void, open: (yes: boolean) => void): () => void {
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = 1000;
  let anew = false;
  const begin = () => {
    source = new EventSource(url);
    source.onopen = () => {
      wait = 1000;
      open(true);
      if (anew) {
        anew = false;
        listen({ kind: 'reset', data: null });
      }
    };
    source.onerror = () => {
      open(false);
      if (source.readyState === EventSource.CLOSED) {
        source.close();
        anew = true;
        clearTimeout(timer);
        timer = setTimeout(begin, wait);
        wait = Math.min(longest, wait * 2);
      }
    };
    for (const kind of kinds) {
      source.addEventListener(kind, (e) => listen({ kind, data: (e as MessageEvent).data }));
    }
  };
  begin();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
