/** A page that says what happens: the same for each example that draws nothing of its own. */

export function show(leave) {
  document.body.innerHTML = '<h1>A call</h1><p id="status">connecting</p><button id="leave">Leave</button>';
  document.querySelector("#leave").onclick = leave;
  return (text) => {
    document.querySelector("#status").textContent = text;
  };
}

/** Say in words how it ended, and what the other side said. */
export const words = {
  closing: ({ reason }) => `the other side leaves: ${reason}`,
  closed: ({ receipt }) => `${receipt.confirmed ? "closed, on both sides" : "closed"} ${receipt.notice.join(" ")}`.trim(),
  gone: ({ cause }) => `the other side is gone: ${cause}`,
};
