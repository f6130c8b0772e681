import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { Markdown } from './Markdown';

test('what to do is read as its author meant it', () => {
  render(<Markdown of={'The array is *degraded*.\n\n2. Run `storcli /c0 show`.\n3. See [the vendor](https://example.org/x).\n   It may take hours.\n'} />);
  const steps = screen.getAllByRole('listitem').map((e) => e.textContent);
  expect(steps).toEqual(['Run storcli /c0 show.', 'See the vendor. It may take hours.']);
  expect(screen.getByRole('list')).toHaveAttribute('start', '2');
  expect(screen.getByText('storcli /c0 show').closest('code')).not.toBeNull();
  expect(screen.getByText('degraded').closest('em')).not.toBeNull();
  expect(screen.getByRole('link')).toHaveAttribute('href', 'https://example.org/x');
});

test('markup, pictures and other addresses stay text', () => {
  const { container } = render(<Markdown of={'<img src=x onerror="alert(1)">\n\n![p](https://example.org/p.png) [a](javascript:alert(1)) <b>b</b> a\u202eb\n\n| a | b |\n|---|---|\n| 1 | 2 |\n'} />);
  expect(container.querySelector('img, script, a, b, table')).toBeNull();
  expect(container.textContent).toContain('<img src=x onerror="alert(1)">');
  expect(container.textContent).toContain('[a](javascript:alert(1))');
  expect(container.textContent).toContain('| 1 | 2 |');
  expect(container.textContent).not.toContain('\u202e');
});

test('emphasised words lead where there is such a text', async () => {
  const went: string[] = [];
  render(<Markdown of={'Replace it as under *Drive\nfailed*, not *another*.'} leads={(words) => (words === 'Drive failed' ? () => went.push(words) : undefined)} />);
  await userEvent.click(screen.getByRole('button', { name: 'Drive failed' }));
  expect(went).toEqual(['Drive failed']);
  expect(screen.getAllByRole('button')).toHaveLength(1);
});
