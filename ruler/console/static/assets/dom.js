// Elements from data. Text only ever becomes a text node: there is no way to
// hand markup to these functions.

const attributes = new Set(['class', 'id', 'href', 'title', 'type', 'name', 'value', 'for', 'placeholder', 'role', 'tabindex', 'datetime',
  'scope', 'colspan', 'min', 'max', 'maxlength', 'autocomplete', 'spellcheck', 'dir', 'open', 'checked', 'selected', 'disabled', 'readonly', 'hidden', 'rows']);
const handlers = ['onclick', 'oninput', 'onchange', 'onsubmit', 'ontoggle'];

// Control characters, and marks that turn text around or hide in it: they are
// shown as what they are, so that a name cannot pretend to be another.
const tricks = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Makes foreign text harmless to read, and short. */
export function clean(text, limit = 300) {
  let s = String(text ?? '');
  if (s.length > limit) s = s.slice(0, limit).replace(/[\ud800-\udbff]$/, '') + '…';
  return s.replace(tricks, (c) => '⟨' + c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0') + '⟩');
}

/** h('p', {class: 'x'}, 'text', element, [more]) */
export function h(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props ?? {})) {
    if (v === null || v === undefined || v === false) continue;
    if (handlers.includes(k)) e[k] = v;
    else if (k === 'href' && !/^(#\/|\/api\/)/.test(v)) throw new Error('a link that leads elsewhere');
    else if (attributes.has(k) || /^(aria|data)-[a-z-]+$/.test(k)) e.setAttribute(k, v === true ? '' : v);
    else throw new Error('unknown attribute ' + k);
  }
  append(e, children);
  return e;
}

function append(e, children) {
  for (const c of children.flat(Infinity)) {
    if (c === null || c === undefined || c === false || c === '') continue;
    e.append(c instanceof Node ? c : document.createTextNode(String(c)));
  }
}

/** Foreign text on its own: isolated from the direction of what surrounds it. */
export function data(text, limit) {
  return h('bdi', null, clean(text, limit));
}

/** Makes the children of an element like those of another, changing as little
 * as possible: focus, selection, open details and typed text stay. */
export function patch(into, from) {
  const fresh = [...from.childNodes];
  fresh.forEach((n, i) => {
    const old = into.childNodes[i];
    if (!old) into.append(n);
    else if (!same(old, n)) old.replaceWith(n);
    else if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== n.data) old.data = n.data;
    } else patchElement(old, n);
  });
  while (into.childNodes.length > fresh.length) into.lastChild.remove();
}

function same(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.nodeType !== Node.ELEMENT_NODE || a.id === b.id && a.dataset.key === b.dataset.key);
}

function patchElement(old, fresh) {
  for (const a of [...old.attributes]) {
    if (!fresh.hasAttribute(a.name) && a.name !== 'open') old.removeAttribute(a.name);
  }
  for (const a of fresh.attributes) {
    if (old.getAttribute(a.name) !== a.value && !(a.name === 'open')) old.setAttribute(a.name, a.value);
  }
  for (const k of handlers) old[k] = fresh[k];
  patch(old, fresh);
}
