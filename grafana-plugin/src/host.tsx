// What differs between the two places where the pages run, Grafana and the ruler's own console, is behind Host. No page
// knows which one it is in.
import { createContext, useContext, type ComponentType, type ReactNode } from 'react';

/** A question to the ruler's API; path is below /api/v1. */
export interface Question {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  query?: URLSearchParams;
  body?: unknown;
  signal?: AbortSignal;
}

/** The answer as it came; json is undefined where it was none. */
export interface Answer {
  status: number;
  json: unknown;
  /** the answerer's clock in ms; NaN where it did not say */
  date: number;
}

/** What the ruler's stream of changes says. */
export interface LiveEvent {
  kind: 'notification' | 'server' | 'reset';
  data: unknown;
}

export interface PageProps {
  title: string;
  /** beside the title */
  actions?: ReactNode;
  subtitle?: ReactNode;
  children: ReactNode;
}

/** Addresses of Grafana's own pages, whole, so that they open in a new window too; null = their data source is not set. */
export interface Explore {
  dashboard(of: 'server' | 'pipeline', server?: string): string;
  /** what a chart asks, over its time in ms */
  metrics(queries: string[], from: number, to: number): string | null;
  events(server: string): string | null;
  /** records found by a query in the log store's language, between two times in ms */
  logs(query: string, from: number, to: number): string | null;
}

export interface Host {
  /** Before every path of a link: '' or '/a/nocturne-fleet-app'. */
  base: string;
  /** How much of the window's top is covered while the page scrolls, in px. */
  stickyTop?: number;
  /** Rejects only where nobody answered, or when signal says so. */
  ask(q: Question): Promise<Answer>;
  /**
   * Asks what is answered with lines of JSON, and tells each as it comes, as far as nothing in between keeps them back.
   * What is no such answer is returned like that of ask; of lines only the status is. To end signal hangs up.
   */
  lines(q: Question, tell: (line: unknown) => void): Promise<Answer>;
  /** Calls listen for every event until the returned function is called; open tells whether events come. */
  follow(listen: (e: LiveEvent) => void, open: (yes: boolean) => void): () => void;
  /** Whether people log in at the ruler itself; else the host knows who they are. */
  logsIn: boolean;
  /** Ways out to what only Grafana has; absent where there is none. */
  explore?: Explore;
  /** The frame of a page: title, navigation's state, theme. */
  Page: ComponentType<PageProps>;
}

const HostContext = createContext<Host | null>(null);
export const HostProvider = HostContext.Provider;

/** The place where this runs. */
export function useHost(): Host {
  const host = useContext(HostContext);
  if (!host) {
    throw new Error('no HostProvider above this component');
  }
  return host;
}
