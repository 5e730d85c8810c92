/** A plain page. */

import { goodbye } from "adieu-rtc/goodbye";
import { connect } from "./connect.js";
import { show, words } from "./show.js";

const say = show(() => end.close({ reason: "clicked Leave" }));
const pc = connect((channel) => {
  say("connected");
  channel.send("hello");
});
const end = goodbye(pc);
for (const name of Object.keys(words)) end.addEventListener(name, (event) => say(words[name](event)));
