// A page of its own: the state lies in the page, and a model of a dozen lines stands in for the kernel's.

const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
const state = new Map(Object.entries(STATE).map(([name, value]) => [`_${name}`, value?.base64 !== undefined ? bytes(value.base64) : value]));
const listeners = new Map();
const model = {
  get: (name) => state.get(name),
  set(name, value) {
    state.set(name, value);
    listeners.get(`change:${name}`)?.forEach((listener) => listener());
  },
  save_changes() {},
  on: (event, listener) => listeners.set(event, (listeners.get(event) ?? new Set()).add(listener)),
  off: (event, listener) => listeners.get(event)?.delete(listener),
};
render({ model, el: document.querySelector("main") });
