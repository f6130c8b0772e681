import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useState } from 'react';
import { leaving, mayLose, useUnsaved } from './useUnsaved';

let heard: string[]; // what a router would

function Closable() {
  const [open, setOpen] = useState(true);
  return (
    <>
      {open && <Editor />}
      <button onClick={() => setOpen(false)}>close</button>
    </>
  );
}

function Editor() {
  const [text, setText] = useState('');
  const leave = useUnsaved(() => text !== '');
  return (
    <>
      <input aria-label="text" value={text} onChange={(e) => setText(e.target.value)} />
      <a href="/other" onClick={(e) => (e.preventDefault(), heard.push('link'))}>
        other
      </a>
      <a href="/edit?tab=2" onClick={(e) => (e.preventDefault(), window.history.pushState(null, '', '/edit?tab=2'), heard.push('tab'))}>
        tab
      </a>
      <button onClick={() => void leave().then(() => heard.push('saved'))}>save</button>
    </>
  );
}

const popped = () => heard.push(window.location.pathname);

beforeEach(async () => {
  heard = [];
  window.history.replaceState(null, '', '/list');
  window.history.pushState(null, '', '/edit');
  render(<Closable />);
  window.addEventListener('popstate', popped);
});
afterEach(() => {
  window.removeEventListener('popstate', popped);
  jest.restoreAllMocks();
});

const back = () => window.history.back();
const soon = () => new Promise((done) => setTimeout(done, 50));

test('a step back asks, and whoever stays has lost nothing and is asked again', async () => {
  const asked = jest.spyOn(window, 'confirm').mockReturnValue(false);
  await userEvent.type(screen.getByLabelText('text'), 'half of it');
  for (const times of [1, 2]) {
    back();
    await waitFor(() => expect(asked).toHaveBeenCalledTimes(times));
    await soon();
    expect(window.location.pathname).toBe('/edit');
    expect(heard).toEqual([]);
  }
  asked.mockReturnValue(true);
  back();
  await waitFor(() => expect(heard).toEqual(['/list']));
});

test('nothing is asked where nothing was written, or all of it was taken back', async () => {
  const asked = jest.spyOn(window, 'confirm');
  const text = screen.getByLabelText('text');
  await userEvent.type(text, 'a');
  await userEvent.clear(text);
  back();
  await waitFor(() => expect(heard).toEqual(['/list']));
  expect(asked).not.toHaveBeenCalled();
});

test('who saves leaves nothing behind in the history, nor does a link', async () => {
  const asked = jest.spyOn(window, 'confirm').mockReturnValue(true);
  await userEvent.type(screen.getByLabelText('text'), 'a');
  const long = window.history.length;
  await userEvent.click(screen.getByRole('button', { name: 'save' }));
  await waitFor(() => expect(heard).toEqual(['saved']));
  expect(asked).not.toHaveBeenCalled();
  window.history.pushState(null, '', '/rule');
  expect(window.history.length).toBe(long);
  window.history.back();
  await waitFor(() => expect(window.location.pathname).toBe('/edit'));
});

test('a link is followed once it was answered, and before that it is not', async () => {
  const asked = jest.spyOn(window, 'confirm').mockReturnValue(false);
  await userEvent.type(screen.getByLabelText('text'), 'a');
  await userEvent.click(screen.getByText('other'));
  await soon();
  expect(heard).toEqual([]);
  asked.mockReturnValue(true);
  await userEvent.click(screen.getByText('other'));
  await waitFor(() => expect(heard).toEqual(['link']));
  expect(asked).toHaveBeenCalledTimes(2);
});

test('a form that is closed while the page stays leaves no step behind, and asks nothing', async () => {
  const asked = jest.spyOn(window, 'confirm');
  await userEvent.type(screen.getByLabelText('text'), 'a');
  await userEvent.click(screen.getByRole('button', { name: 'close' }));
  await waitFor(() => expect(window.history.state).toBeNull());
  back();
  await waitFor(() => expect(heard).toEqual(['/list']));
  expect(asked).not.toHaveBeenCalled();
});

test('who agreed, and is on the same page all the same, is asked again', async () => {
  const asked = jest.spyOn(window, 'confirm').mockReturnValue(true);
  await userEvent.type(screen.getByLabelText('text'), 'a');
  await userEvent.click(screen.getByText('tab'));
  await waitFor(() => expect(heard).toEqual(['tab']));
  asked.mockReturnValue(false);
  await userEvent.click(screen.getByText('other'));
  expect(asked).toHaveBeenCalledTimes(2);
  expect(heard).toEqual(['tab']);
  const closes = new Event('beforeunload', { cancelable: true });
  window.dispatchEvent(closes);
  expect(closes.defaultPrevented).toBe(true);
});

test('what leaves the page by itself asks before it is done, and again when it failed', async () => {
  const asked = jest.spyOn(window, 'confirm').mockReturnValue(false);
  const deed = jest.fn().mockRejectedValue(new Error('refused'));
  await userEvent.type(screen.getByLabelText('text'), 'a');
  await leaving(deed);
  expect(deed).not.toHaveBeenCalled();
  asked.mockReturnValue(true);
  await expect(leaving(deed)).rejects.toThrow('refused');
  asked.mockReturnValue(false);
  await userEvent.click(screen.getByText('other'));
  expect(asked).toHaveBeenCalledTimes(3);
  expect(heard).toEqual([]);
});

test('a form gives way to another when that is agreed to', async () => {
  const asked = jest.spyOn(window, 'confirm').mockReturnValue(false);
  expect(mayLose()).toBe(true);
  expect(asked).not.toHaveBeenCalled();
  await userEvent.type(screen.getByLabelText('text'), 'a');
  expect(mayLose()).toBe(false);
  asked.mockReturnValue(true);
  expect(mayLose()).toBe(true);
});
