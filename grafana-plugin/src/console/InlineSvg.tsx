// Stands in for react-inlinesvg in the console, where no text may become markup: an icon is a mask over the colour of
// the text around it.
import type { CSSProperties } from 'react';

interface Props {
  src: string;
  width?: number | string;
  height?: number | string;
  className?: string;
  style?: CSSProperties;
  title?: string;
  'aria-hidden'?: boolean;
}

export default function InlineSvg({ src, width = 16, height = 16, className, style, title, 'aria-hidden': hidden }: Props) {
  const mask = `url("${encodeURI(src)}") center / contain no-repeat`;
  return <span role={title ? 'img' : undefined} aria-label={title} aria-hidden={hidden ?? (title ? undefined : true)} className={className} style={{ display: 'inline-block', width, height, background: 'currentColor', mask, WebkitMask: mask, ...style }} />;
}

/** What Grafana's Icon asks for before it draws; browsers keep what they loaded. */
export const cacheStore = { clear: () => undefined };
