import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { MoreFilters } from './Filters';

test('seldom used filters open with the first that is used, and stay as people leave them', async () => {
  const of = (used: boolean) => (
    <MoreFilters used={used} className="">
      <input aria-label="Channel" />
    </MoreFilters>
  );
  const { rerender } = render(of(false));
  const box = screen.getByRole('group');
  expect(box).not.toHaveAttribute('open');
  rerender(of(true));
  await waitFor(() => expect(box).toHaveAttribute('open'));
  rerender(of(false)); // emptied by who stands in it
  expect(box).toHaveAttribute('open');
  await userEvent.click(screen.getByText('More filters'));
  await waitFor(() => expect(box).not.toHaveAttribute('open'));
  rerender(of(false));
  expect(box).not.toHaveAttribute('open');
  await userEvent.click(screen.getByText('More filters'));
  await waitFor(() => expect(box).toHaveAttribute('open'));
  rerender(of(false)); // an answer came
  expect(box).toHaveAttribute('open');
});
