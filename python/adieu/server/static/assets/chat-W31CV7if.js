import{a as e,i as t,n,r}from"./lit-BqTy6KEj.js";import{C as i,_ as a,b as o,d as s,f as c,h as l,i as u,n as d,t as f,w as p}from"./index-Ip56eZ1r.js";import{r as m}from"./language-BvpgMebL.js";var h={ATTRIBUTE:1,CHILD:2,PROPERTY:3,BOOLEAN_ATTRIBUTE:4,EVENT:5,ELEMENT:6},g=e=>(...t)=>({_$litDirective$:e,values:t}),_=class{constructor(e){}get _$AU(){return this._$AM._$AU}_$AT(e,t,n){this._$Ct=e,this._$AM=t,this._$Ci=n}_$AS(e,t){return this.update(e,t)}update(e,t){return this.render(...t)}},{I:v}=e,y=e=>e,b=()=>document.createComment(``),x=(e,t,n)=>{let r=e._$AA.parentNode,i=t===void 0?e._$AB:t._$AA;if(n===void 0)n=new v(r.insertBefore(b(),i),r.insertBefore(b(),i),e,e.options);else{let t=n._$AB.nextSibling,a=n._$AM,o=a!==e;if(o){let t;n._$AQ?.(e),n._$AM=e,n._$AP!==void 0&&(t=e._$AU)!==a._$AU&&n._$AP(t)}if(t!==i||o){let e=n._$AA;for(;e!==t;){let t=y(e).nextSibling;y(r).insertBefore(e,i),e=t}}}return n},S=(e,t,n=e)=>(e._$AI(t,n),e),C={},w=(e,t=C)=>e._$AH=t,T=e=>e._$AH,E=e=>{e._$AR(),e._$AA.remove()},D=(e,t,n)=>{let r=new Map;for(let i=t;i<=n;i++)r.set(e[i],i);return r},O=g(class extends _{constructor(e){if(super(e),e.type!==h.CHILD)throw Error(`repeat() can only be used in text expressions`)}dt(e,t,n){let r;n===void 0?n=t:t!==void 0&&(r=t);let i=[],a=[],o=0;for(let t of e)i[o]=r?r(t,o):o,a[o]=n(t,o),o++;return{values:a,keys:i}}render(e,t,n){return this.dt(e,t,n).values}update(e,[t,n,i]){let a=T(e),{values:o,keys:s}=this.dt(t,n,i);if(!Array.isArray(a))return this.ut=s,o;let c=this.ut??=[],l=[],u,d,f=0,p=a.length-1,m=0,h=o.length-1;for(;f<=p&&m<=h;)if(a[f]===null)f++;else if(a[p]===null)p--;else if(c[f]===s[m])l[m]=S(a[f],o[m]),f++,m++;else if(c[p]===s[h])l[h]=S(a[p],o[h]),p--,h--;else if(c[f]===s[h])l[h]=S(a[f],o[h]),x(e,l[h+1],a[f]),f++,h--;else if(c[p]===s[m])l[m]=S(a[p],o[m]),x(e,a[f],a[p]),p--,m++;else if(u===void 0&&(u=D(s,m,h),d=D(c,f,p)),u.has(c[f])){if(u.has(c[p])){let t=d.get(s[m]),n=t===void 0?null:a[t];if(n===null){let t=x(e,a[f]);S(t,o[m]),l[m]=t}else l[m]=S(n,o[m]),x(e,a[f],n),a[t]=null;m++}else E(a[p]),p--}else E(a[f]),f++;for(;m<=h;){let t=x(e,l[h+1]);S(t,o[m]),l[m++]=t}for(;f<=p;){let e=a[f++];e!==null&&E(e)}return this.ut=s,w(e,l),r}}),k=/https?:\/\/[^\s\p{C}<>"“”«»]+/giu,A=/[.,:;!?'’…*_]$/u,j={")":`(`,"]":`[`,"}":`{`},M=2048;function N(e){let t=[],n=0;for(let{index:r,0:i}of e.matchAll(k)){let a=P(i),o=a.length>M?void 0:F(a);o&&(r>n&&t.push({text:e.slice(n,r)}),t.push({text:a,href:o}),n=r+a.length)}return n<e.length&&t.push({text:e.slice(n)}),t}function P(e){let t=new Map(Object.values(j).map(e=>[e,0]));for(let n of e)t.has(n)&&t.set(n,t.get(n)+1);let n=new Map;for(let t of e)t in j&&n.set(t,(n.get(t)??0)+1);let r=e.length;for(;r>0;r--){let i=e[r-1];if(A.test(i))continue;let a=j[i];if(a===void 0||n.get(i)<=t.get(a))break;n.set(i,n.get(i)-1)}return e.slice(0,r)}function F(e){if(!URL.canParse(e))return;let{protocol:t,username:n,password:r,href:i}=new URL(e);return[`http:`,`https:`].includes(t)&&!n&&!r?i:void 0}function I({shared:e,at:r},a){let o=e instanceof i,{file:c}=m();return t`
    <article class="said file ${o?`mine`:``}">
      <p class="who"><span>${o?c.to(l(e.who)):l(e.who)}</span> ${d(r)}</p>
      <p class="text">${u(e.isFolder?`folder`:`file`)} <span class="filename">${e.name}</span> <span class="size">${s(e.size)}</span></p>
      ${e.under?t`<progress max="1" .value=${e.part} aria-label=${c.progress(e.name)}></progress>`:n}
      <p class="fate ${e.state===`failed`?`owed`:``}">${L(e)}</p>
      ${o?R(e,a):z(e)}
    </article>
  `}function L(e){let{file:n}=m();switch(e.state){case`asked`:return n.asked(s(e.size));case`declined`:return n.declined;case`moving`:return e instanceof i&&!e.done?n.waiting(l(e.who)):t`<span aria-hidden="true">${n.of(s(e.done),s(e.size))}</span>`;case`here`:return e.direction===`out`?t`${u(`check`)} ${n.delivered}`:t`${u(`check`)} ${e.isSaved?n.onDisk:n.here}`;case`failed`:return n.failed(c(e.why))}}function R(e,r){let{file:i}=m();if(e.under)return t`<button class="small" @click=${B(()=>e.cancel())}>${i.cancel}</button>`;if(e.state!==`failed`)return n;let a=r.receiverOf(e);return a?t`<button class="small" @click=${B(()=>e.send(a))}>${i.again}</button>`:t`<p class="hint">${i.later(l(e.who))}</p>`}function z(e){let{file:r}=m();if(e.state===`asked`){let i=t`<span class="hidden"> ${e.name}</span>`;return t`
      <p class="answers">
        ${e.fits?t`<button class="small primary" @click=${B(()=>e.take())}>${r.take}${i}</button>`:n}
        ${e.canSave?t`<button class="small" @click=${B(()=>e.save())}>${r.toDisk}${i}</button>`:n}
        <button class="small" @click=${B(()=>e.decline())}>${r.refuse}${i}</button>
      </p>
    `}return e.url?t`<a class="button small" href=${e.url} download=${e.isFolder?`${e.name}.zip`:e.name}>${r.save}<span class="hidden"> ${e.name}</span></a>`:n}function B(e){return({currentTarget:t})=>{t.closest(`.log`)?.focus({preventScroll:!0}),e()}}var V=/^file /;function H({channels:e}){let t=new Map;for(let[n,r]of Object.entries(e)){let e=V.test(n)?m().receipt.pieces:n,i=U(r),a=t.get(e);t.set(e,a?a.map((e,t)=>W(e,i[t])):i)}return[...t]}function U({sent:e,received:t}){let{accepted:n,delivered:r,unread:i,unknown:a,unsent:o}=e;return[n,r,i,a,o,t.delivered,t.unread]}function W(e,t){return e&&t?{messages:e.messages+t.messages,bytes:e.bytes+t.bytes}:null}function G(e){let r=H(e),i=m().receipt;return t`
    <details class="receipt">
      <summary>${u(`receipt`)} ${i.title}</summary>
      <p>${e.confirmed?i.confirmed:i.unconfirmed}</p>
      ${r.length?J(r):n} ${K(e)}
      <ol class="steps">
        ${e.steps.map(({name:e,duration:n,outcome:r})=>t`<li>${i.step(o(e),r===`ok`?a(n):q(r))}</li>`)}
      </ol>
      <p class="number">${i.number} <code>${e.id}</code></p>
      <button class="small" @click=${()=>Z(`receipt`,e,e)}>${i.save}</button>
      ${e.recording?t`<button class="small" @click=${()=>X(e)}>${i.saveRecording}</button>`:n}
    </details>
  `}function K({files:e,partial:r}){if(!e.length&&!r.length)return n;let i=m().receipt,a=e=>m().percent(e.done/(e.size||1));return t`
    <ul class="steps">
      ${e.map(({name:e,size:n,sent:r})=>t`<li>${i[r?`delivered`:`received`](e,s(n))}</li>`)}
      ${r.map(e=>t`<li>${i[e.sent?`partSent`:`partReceived`](e.name,s(e.size),a(e))}</li>`)}
    </ul>
  `}function q(e){return m().receipt.outcomes[e]??e}function J(e){let n=m().receipt;return t`
    <div class="scroll" tabindex="0" role="region" aria-label=${n.table}>
      <table>
        <thead>
          <tr><th scope="col">${n.messages}</th>${e.map(([e])=>t`<th scope="col">${e}</th>`)}</tr>
        </thead>
        <tbody>
          ${n.lines.map((n,r)=>t`
              <tr>
                <th scope="row">${n}</th>
                ${e.map(([,e])=>t`<td>${Y(e[r])}</td>`)}
              </tr>
            `)}
        </tbody>
      </table>
    </div>
  `}function Y(e){return e?e.messages?t`<span title=${s(e.bytes)}>${e.messages}</span>`:`0`:`?`}async function X(e){Z(`recording`,e,await e.recording?.())}function Z(e,{id:t},n){let r=URL.createObjectURL(new Blob([JSON.stringify(n,void 0,2)],{type:`application/json`})),i=document.createElement(`a`);i.href=r,i.download=`${e}-${t.slice(0,8)}.json`,i.click(),setTimeout(()=>URL.revokeObjectURL(r),6e4)}var Q=class extends f{static properties={...f.properties,hint:{state:!0}};#e=!0;#t(e){e.preventDefault();let t=this.querySelector(`#words`),n=t.value.trim();n&&(this.model.say(n)?(t.value=``,this.hint=``):this.hint=m().chat.nobody,t.focus())}#n(e){e.key!==`Enter`||e.shiftKey||e.isComposing||(e.preventDefault(),e.target.form.requestSubmit())}take(e){this.hint=e.length&&!this.model.sendFiles(e)?m().chat.nobodyTakes:``}lacks(){this.hint=m().chat.unreadable}#r({currentTarget:e}){let{scrollHeight:t,scrollTop:n,clientHeight:r}=e;this.#e=t-n-r<40}firstUpdated(){new ResizeObserver(()=>this.updated()).observe(this.querySelector(`.log`))}updated(){let e=this.querySelector(`.log`);this.#e&&(e.scrollTop=e.scrollHeight)}render(){let{model:e}=this,r=e.phase===`left`,{chat:i}=m();return t`
      <section class="chat" aria-label=${i.conversation}>
        <div class="log" role="log" aria-label=${i.log} tabindex="0" @scroll=${this.#r}>
          ${e.entries.length?n:t`<p class="hint">${i.empty}</p>`}
          ${O(e.entries,e=>e,e=>this.#o(e))}
        </div>
        ${e.present.map(e=>this.#a(e))}
        ${r?n:this.#i()}
      </section>
    `}#i(){let{chat:e}=m();return t`
      <form class="write" @submit=${this.#t}>
        <p class="hint" role="status">${this.hint}</p>
        <div class="row">
          <button type="button" class="quiet square" @click=${()=>this.querySelector(`#files`).click()}>
            ${u(`clip`)}<span class="hidden">${e.sendFile}</span>
          </button>
          <input
            id="files"
            type="file"
            multiple
            hidden
            aria-label=${e.files}
            @change=${({target:e})=>{this.take([...e.files??[]]),e.value=``}}
          />
          <label class="hidden" for="words">${e.message}</label>
          <textarea id="words" rows="1" placeholder=${e.placeholder} @keydown=${this.#n}></textarea>
          <button class="primary square">${u(`send`)}<span class="hidden">${e.send}</span></button>
        </div>
      </form>
    `}#a(e){let r=this.model.owedTo(e).length,{chat:i}=m();return r?t`
      <div class="notice owed">
        <p>${i.owed(r,l(e))}</p>
        <button class="primary" @click=${()=>this.model.sendOwed(e)}>
          ${i.sendOwed(r)}
        </button>
      </div>
    `:n}#o(e){switch(e.kind){case`said`:return $(e);case`note`:return t`<p class="note ${e.tone}">${e.text}</p>`;case`file`:return I(e,this.model);case`farewell`:return t`<div class="note farewell"><p>${p(e.receipt,e.who)}</p>${G(e.receipt)}</div>`}}};function $({from:e,text:r,at:i,marks:a}){return t`
    <article class="said ${e===void 0?`mine`:``}">
      <p class="who">
        <span>${e??m().people.you}</span> ${d(i)}
      </p>
      <p class="text">${N(r).map(ee)}</p>
      ${e===void 0?te(a):n}
    </article>
  `}function ee({text:e,href:n}){return n?t`<a href=${n} target="_blank" rel="noopener noreferrer nofollow">${e}</a>`:e}function te(e){let{chat:n}=m(),r=t=>e.filter(e=>e.state===t).map(ne),i=r(`owed`);return i.length?t`<p class="fate owed">${n.notDelivered(i)}</p>`:r(`sending`).length?t`<p class="fate">${n.sending}</p>`:t`<p class="fate">${u(`check`)} ${n.delivered}</p>`}function ne({who:e}){return l(e)}customElements.define(`chat-panel`,Q);export{O as n,G as t};