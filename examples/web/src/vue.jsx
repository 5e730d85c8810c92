/** Vue: the connection lives as long as its component, and ends well when the component goes. */

import { goodbye } from "adieu-rtc/goodbye";
import { createApp, h, onMounted, onUnmounted, ref } from "vue";
import { connect } from "./connect.js";
import { words } from "./show.js";

const status = ref("connecting");
const on = ref(true);

const Call = {
  setup() {
    let end;
    onMounted(() => {
      const pc = connect((channel) => {
        status.value = "connected";
        channel.send("hello");
      });
      end = goodbye(pc);
      for (const name of Object.keys(words))
        end.addEventListener(name, (event) => {
          status.value = words[name](event);
        });
    });
    onUnmounted(() => void end.close({ reason: "the component went" }));
    return () => h("p", "The call is on.");
  },
};

createApp({
  render: () =>
    h("main", [
      h("h1", "A call"),
      h("p", { id: "status" }, status.value),
      on.value && h(Call),
      h("button", { id: "leave", type: "button", onClick: () => { on.value = false; } }, "Leave"),
    ]),
}).mount(document.body.appendChild(document.createElement("div")));
