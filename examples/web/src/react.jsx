/** React: the connection lives as long as its component, and ends well when the component goes. */

import { goodbye } from "adieu-rtc/goodbye";
import { createElement, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "./connect.js";
import { words } from "./show.js";

function Call({ say }) {
  useEffect(() => {
    const pc = connect((channel) => {
      say("connected");
      channel.send("hello");
    });
    const end = goodbye(pc);
    for (const name of Object.keys(words)) end.addEventListener(name, (event) => say(words[name](event)));
    return () => void end.close({ reason: "the component went" });
  }, [say]);
  return createElement("p", null, "The call is on.");
}

function App() {
  const [status, say] = useState("connecting");
  const [on, turn] = useState(true);
  return (
    <main>
      <h1>A call</h1>
      <p id="status">{status}</p>
      {on && <Call say={say} />}
      <button id="leave" type="button" onClick={() => turn(false)}>
        Leave
      </button>
    </main>
  );
}

createRoot(document.body.appendChild(document.createElement("div"))).render(<App />);
