import{i as e,n as t}from"./lit-BqTy6KEj.js";import{g as n,l as r,p as i,t as a,w as o}from"./index-Ip56eZ1r.js";import{i as s,r as c}from"./language-BvpgMebL.js";import{t as l}from"./chat-W31CV7if.js";var u=class extends a{static properties={...a.properties,place:{attribute:!1},trouble:{state:!0}};constructor(){super(),this.trouble=``}firstUpdated(){this.place.free(),this.focusOn(`h1`)}async#e(e){let{model:t,place:n}=this;if(this.trouble=``,!await n.take(()=>t.leave(s.ending.reasons.elsewhere)))this.trouble=c().enter.elsewhere;else{try{await t.enter(t.name,{resend:e})}catch(e){n.free(),this.trouble=r(i(e),e);return}await t.devices.turnOn(t.brought)}}render(){let{farewells:r,owed:i,entries:a,closed:s}=this.model,{end:u,chat:d}=c(),f=r.map(({receipt:e})=>e);return e`
      <main class="card end">
        <p class="mark" aria-hidden="true"></p>
        <h1 tabindex="-1">${u.title}</h1>
        <p class="lead" role="status">${r.length?n(f):s?u.closed:u.alone}</p>
        ${r.map(({receipt:t,who:n})=>e`
            <section class="farewell">
              <p class="text">${o(t,n)}</p>
              ${l(t)}
            </section>
          `)}
        <p class="hint">${u.off}</p>
        <p class="alert" role="alert" ?hidden=${!this.trouble}>${this.trouble}</p>
        <div class="row">
          ${i.length?e`<button class="primary" @click=${()=>this.#e(!0)}>
                  ${u.sendOwed(i.length)}
                </button>`:t}
          <button class=${i.length?``:`primary`} @click=${()=>this.#e(!1)}>${u.again}</button>
          <button @click=${()=>this.dispatchEvent(new CustomEvent(`room`))}>${u.new}</button>
        </div>
        ${a.length?e`<details class="before"><summary>${d.log}</summary><chat-panel .model=${this.model}></chat-panel></details>`:t}
      </main>
    `}};customElements.define(`end-page`,u);export{u as EndPage};