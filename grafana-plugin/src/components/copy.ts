/** Puts a text into the clipboard; false = the browser does not let us, as on pages by plain http. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
