import{i as e,n as t}from"./lit-BqTy6KEj.js";import{notifications as n}from"./notifications-CG-BoIOn.js";import{c as r,h as i,i as a,r as o,t as s}from"./index-Ip56eZ1r.js";import{r as c}from"./language-BvpgMebL.js";import{t as l}from"./devices-BBeZaglH.js";import{i as u,n as d,r as f}from"./call-mczyq9di.js";function p(){let{keys:t}=c();return e`
    <dl class="keys">
      ${Object.entries(d).map(([n,r])=>e`<dt><kbd>${n.toUpperCase()}</kbd></dt><dd>${t[r]}</dd>`)}
      <dt><kbd>← ↑ → ↓</kbd></dt>
      <dd>${t.move}</dd>
    </dl>
    <label class="choice">
      <input
        type="checkbox"
        ?checked=${f()}
        @change=${({target:e})=>u(e.checked)}
      />
      ${t.on}
    </label>
  `}var m=1e3,h=class extends s{#e;#t=new AbortController;connectedCallback(){super.connectedCallback(),this.model.devices.addEventListener(`change`,this.#n),n.addEventListener(`change`,this.#n),n.follow(this.model,this.#t.signal)}disconnectedCallback(){super.disconnectedCallback(),this.model.devices.removeEventListener(`change`,this.#n),n.removeEventListener(`change`,this.#n),this.#t.abort(),clearInterval(this.#e)}#n=()=>this.requestUpdate();async open(e=``){await this.updateComplete,this.model.devices.look(),this.querySelector(`dialog`).showModal(),this.#e=setInterval(this.#n,m),this.requestUpdate(),e&&this.querySelector(e)?.focus()}#r(){clearInterval(this.#e)}async#i({target:e}){await n.toggle(),e.checked=n.isOn}#a(){this.querySelector(`dialog`).close(),this.dispatchEvent(new Event(`close-for-all`))}#o(){let{settings:r}=c();return n.isPossible?e`
      <label class="choice">
        <input type="checkbox" .checked=${n.isOn} @change=${this.#i} /> ${r.notifications}
      </label>
      <p class="alert" role="alert" ?hidden=${!n.refused}>${r.notificationsRefused}</p>
    `:t}render(){let{call:n,connection:s,devices:u,settings:d,keys:f}=c(),{model:m}=this;return e`
      <dialog class="panel" aria-labelledby="more-title" @close=${()=>this.#r()}>
        <form method="dialog" class="bar">
          <h2 id="more-title">${n.more}</h2>
          <button class="quiet square">${a(`close`)}<span class="hidden">${n.close}</span></button>
        </form>
        ${m.screen.isPossible?e`<button @click=${()=>m.share()}>${a(`screen`)} ${m.screen.track?n.sharing:n.share}</button>`:t}
        ${document.pictureInPictureEnabled?e`<button @click=${()=>this.dispatchEvent(new Event(`float`,{bubbles:!0}))}>${a(`float`)} ${n.floating}</button>`:t}
        <section aria-labelledby="more-connections">
          <h3 id="more-connections">${s.title}</h3>
          ${m.shown.length?e`<dl>${m.shown.map(t=>e`<dt>${i(t)}</dt><dd>${r(t.quality)}</dd>`)}</dl>`:e`<p class="hint">${s.alone}</p>`}
        </section>
        <section aria-labelledby="more-devices">
          <h3 id="more-devices">${u.title}</h3>
          ${l(m.devices,{test:!0})}
        </section>
        ${m.shown.length?e`<invite-link .room=${m.room}></invite-link>`:t}
        <section aria-labelledby="more-settings">
          <h3 id="more-settings">${d.title}</h3>
          ${o()} ${this.#o()}
        </section>
        <section aria-labelledby="more-keys">
          <h3 id="more-keys" tabindex="-1">${f.title}</h3>
          ${p()}
        </section>
        ${m.mayCloseForAll?e`<button @click=${()=>this.#a()}>${a(`leave`)} ${n.closeForAll}</button>`:t}
      </dialog>
    `}};customElements.define(`more-panel`,h);function g(e,t){e.open(t)}export{g as open};