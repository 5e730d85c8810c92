/** What the tests use of `node:fs`, for a page: the test's server has the files, and a folder as a list. */

function fetched(url: URL): string {
  const request = new XMLHttpRequest();
  request.open("GET", url, false);
  request.send();
  if (request.status !== 200) throw new Error(`${url}: ${request.status}`);
  return request.responseText;
}

export const readFileSync = fetched;

export function readdirSync(url: URL): string[] {
  return JSON.parse(fetched(url));
}
