import { act, render, screen } from '@testing-library/react';
import { MemoryRouter, useLocation } from 'react-router-dom';
import { useFilters } from './useFilters';

test('what is chosen before the page is drawn anew adds to what was chosen before it', () => {
  let set: ReturnType<typeof useFilters>[1] = () => undefined;
  function Page() {
    set = useFilters()[1];
    return <p>{useLocation().search}</p>;
  }
  render(
    <MemoryRouter initialEntries={['/events?offset=50&level=error']}>
      <Page />
    </MemoryRouter>
  );
  const first = set;
  act(() => {
    first({ search: 'disk' });
    first({ site: 'north' });
    first({ level: '' });
  });
  expect(screen.getByText('?search=disk&site=north')).toBeInTheDocument();
});
