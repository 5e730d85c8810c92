const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=["./more-BmRGZoon.js","./lit-BqTy6KEj.js","./notifications-CG-BoIOn.js","./language-BvpgMebL.js","./grammar-vNNn9RGQ.js","./preload-helper-BQUUbbNx.js","./index-Ip56eZ1r.js","./text-CIUZ24WB.js","./index-DFj7d_6m.css","./devices-BBeZaglH.js","./qr-Cfa-kpGG.js"])))=>i.map(i=>d[i]);
import{t as e}from"./rolldown-runtime-DK3Fl9T5.js";import{i as t,n}from"./lit-BqTy6KEj.js";import{n as r}from"./chat-W31CV7if.js";import{c as i,o as a,r as o}from"./language-BvpgMebL.js";import{A as s,M as c,a as l,h as u,i as d,j as f,s as p,t as m,u as h,v as g,x as _,y as v}from"./index-Ip56eZ1r.js";import{t as y}from"./preload-helper-BQUUbbNx.js";var b=[`bottom right`,`bottom left`,`top left`,`top right`],x=16/9;function S(e,t,n){let r={columns:1,rows:Math.max(e,1),size:0};for(let i=1;i<=e;i++){let a=Math.ceil(e/i),o=Math.min(t/i,n/a*x);o>r.size*1.01&&(r={columns:i,rows:a,size:o})}return{columns:r.columns,rows:r.rows}}function C(e,t){let[n,r]=e.split(` `);return t===`left`||t===`right`?`${n} ${t}`:`${t===`up`?`top`:`bottom`} ${r}`}function w(e,t,n,r){let i=e+{left:-1,right:1,up:-r,down:r}[t];return i<0||i>=n?e:i}var T={m:`microphone`,v:`camera`,s:`screen`,p:`floating`,c:`chat`,r:`reset`,o:`more`,l:`leave`,"?":`list`},E=`keys`;function D(){return a(E)!==`off`}function O(e){i(E,e?`on`:`off`)}function k(e){if(e.ctrlKey||e.altKey||e.metaKey||e.repeat||e.isComposing||!D())return;let t=e.target;if(t?.isContentEditable||t?.closest?.(`input:not([type=checkbox]), textarea, select, dialog`))return;let n=e.key.toLowerCase();return Object.hasOwn(T,n)?T[n]:void 0}var A=class extends m{connectedCallback(){super.connectedCallback(),this.model.devices.addEventListener(`change`,this.#n)}disconnectedCallback(){super.disconnectedCallback(),this.model.devices.removeEventListener(`change`,this.#n)}#e=``;#t;#n=()=>this.requestUpdate();render(){let{model:e}=this,{devices:r}=e,i=e.phase===`leaving`,a=h(r.troubles),{call:s}=o();return t`
      <section class="controls" aria-label=${s.controls}>
        <div class="troubles" role="alert">
          ${a.length?t`<div class="trouble">${a.map(e=>t`<p>${e}</p>`)} ${this.#i()}</div>`:n}
        </div>
        ${e.leavingAsked?this.#a():n} ${e.resetAsked?this.#c():n}
        ${e.closingAsked?this.#o():n}
        <div class="buttons" role="group" aria-label=${s.buttons}>
          ${this.#u(`audio`)} ${this.#u(`video`)} ${this.#r()}
          <button
            id="reset"
            title=${s.resetHint}
            ?disabled=${i}
            aria-disabled=${e.resetting}
            @click=${()=>this.#s()}
          >
            ${d(`reset`)} <span>${e.resetting?s.renewing:s.reset}</span>
          </button>
          <button id="more" aria-haspopup="dialog" ?disabled=${i} @click=${()=>this.more()}>
            ${d(`more`)} <span>${s.more}</span>
          </button>
          <button id="leave" class="leave" aria-disabled=${i} @click=${()=>e.askToLeave()}>
            ${d(`leave`)} <span>${i?s.leaving:s.leave}</span>
          </button>
        </div>
        <more-panel .model=${e} @close-for-all=${()=>e.askToClose()}></more-panel>
      </section>
    `}async more(e=``){let{open:t}=await y(async()=>{let{open:e}=await import(`./more-BmRGZoon.js`);return{open:e}},__vite__mapDeps([0,1,2,3,4,5,6,7,8,9]),import.meta.url);t(this.querySelector(`more-panel`),e)}#r(){let{screen:e}=this.model;if(!e.isPossible)return n;let{call:r}=o();return t`
      <button id="screen" class=${e.track?`on`:``} @click=${()=>this.model.share()}>
        ${d(`screen`)} <span>${e.track?r.sharing:r.share}</span>
      </button>
    `}#i(){return t`<button class="quiet square small" @click=${()=>{this.querySelector(`#microphone`).focus(),this.model.devices.dismiss()}}>${d(`close`)}<span class="hidden">${o().call.close}</span></button>`}updated(){let{leavingAsked:e,leavesLater:t,underWay:n,resetAsked:r,closingAsked:i}=this.model,a=i?`#closing .quiet`:e?t||!n.length?`#leaving .now`:`#leaving button`:r?`#resetting button`:``;a&&a!==this.#e&&this.querySelector(a).focus(),this.#e=a}#a(){let{model:e}=this,{call:r}=o(),i=()=>{e.stay(),this.querySelector(`#leave`).focus()},a=_(e.underWay),s=a.length&&!e.leavesLater;return t`
      <div
        id="leaving"
        class="trouble leaving"
        role="alertdialog"
        aria-labelledby="leaving-words"
        @keydown=${e=>e.key===`Escape`&&i()}
      >
        <div id="leaving-words">
          ${(a.length?a:[r.nothingUnder]).map(e=>t`<p>${e}</p>`)}
          ${e.leavesLater?t`<p>${r.later}</p>`:n}
        </div>
        <div class="answers">
          ${s?t`<button class="small" @click=${()=>e.leaveLater()}>${r.leaveLater}</button>`:n}
          <button class="small now" @click=${()=>e.leave()}>${a.length?r.leaveNow:r.leave}</button>
          <button class="small quiet" @click=${i}>${r.stay}</button>
        </div>
      </div>
    `}#o(){let{model:e}=this,{call:n}=o(),r=()=>{e.stay(),this.querySelector(`#more`).focus()};return t`
      <div
        id="closing"
        class="trouble leaving"
        role="alertdialog"
        aria-labelledby="closing-words"
        @keydown=${e=>e.key===`Escape`&&r()}
      >
        <p id="closing-words">${n.closeForAllAsked}</p>
        <div class="answers">
          <button class="small" @click=${()=>e.closeForAll()}>${n.closeForAllNow}</button>
          <button class="small quiet" @click=${r}>${n.cancel}</button>
        </div>
      </div>
    `}#s(){let{model:e}=this;e.resetAsked?e.keep():(this.#t=void 0,e.askToReset(),e.devices.look())}#c(){let{model:e}=this,{devices:r,shown:i}=e,{call:a}=o(),s=r.list(`video`),c=()=>{e.keep(),this.querySelector(`#reset`).focus()},l=t=>{this.querySelector(`#reset`).focus(),e.reset(t,this.#t)};return t`
      <div
        id="resetting"
        class="trouble leaving"
        role="alertdialog"
        aria-labelledby="resetting-words"
        @keydown=${e=>e.key===`Escape`&&c()}
      >
        <p id="resetting-words">${a.what}</p>
        ${i.length>1?t`<label>
                ${a.whose}
                <select @change=${e=>this.#l(e)}>
                  <option value="">${a.everybody}</option>
                  ${i.map((e,n)=>t`<option value=${n}>${g(u(e))}</option>`)}
                </select>
              </label>`:n}
        ${s.length>1?t`<label>
                ${o().devices.video}
                <select @change=${e=>r.choose(`video`,e.target.value)}>
                  ${s.map(({id:e,label:n})=>t`<option value=${e} ?selected=${e===r.chosen(`video`)}>${g(n)}</option>`)}
                </select>
              </label>`:n}
        <div class="answers">
          <button class="small" @click=${()=>l(`connection`)}>${a.connection}</button>
          <button class="small" @click=${()=>l(`devices`)}>${a.devices}</button>
          <button class="small" @click=${()=>l(`everything`)}>${a.everything}</button>
          <button class="small quiet" @click=${c}>${a.cancel}</button>
        </div>
      </div>
    `}#l(e){let{value:t}=e.target;this.#t=t?this.model.shown[Number(t)]:void 0}#u(e){let{devices:n}=this.model,{[e]:r,asking:i}=o().devices,a=n.state(e),s=a===`on`;return t`
      <button
        id=${e===`audio`?`microphone`:`camera`}
        class=${s?`on`:`off`}
        aria-pressed=${s}
        aria-label=${a===`asking`?`${r}: ${i}`:r}
        ?disabled=${this.model.phase===`leaving`}
        @click=${()=>n.toggle(e)}
      >
        ${d({audio:[`mic`,`mic-off`],video:[`camera`,`camera-off`]}[e][+!s])} <span>${a===`asking`?i:r}</span>
      </button>
    `}};customElements.define(`call-controls`,A);var j=class extends m{static properties={...m.properties,room:{attribute:!1},short:{type:Boolean},said:{state:!0},network:{state:!0},code:{state:!0}};constructor(){super(),this.said=this.network=``}connectedCallback(){super.connectedCallback(),!this.short&&s(location)&&c(location).then(e=>this.network=e)}get#e(){return f(this.room,{href:this.network||location.href})}async#t(){this.code=this.code?void 0:(await y(async()=>{let{qrCode:e}=await import(`./qr-Cfa-kpGG.js`);return{qrCode:e}},__vite__mapDeps([10,1,3,4,5]),import.meta.url)).qrCode(this.#e)}get#n(){let{invite:e}=o();return s(location)?this.network?this.network.startsWith(`https:`)?e.network:`${e.network} ${e.plain}`:e.local:``}async#r(){try{await navigator.clipboard.writeText(this.#e),this.said=`copied`}catch{this.querySelector(`input`)?.select(),this.said=this.short?`address`:`mark`}}async#i(){try{await navigator.share({title:`adieu`,text:o().invite.shareText,url:this.#e})}catch{}}render(){let{invite:e}=o(),r=t`<button class=${this.short?`quiet`:`primary`} @click=${this.#r}>${d(`link`)} ${e.copy}</button>`,i=t`<span class="said" role="status">${this.said&&e[this.said]}</span>`;return this.short?t`${i} ${r}`:t`
      <section class="invite" aria-labelledby="invite-title">
        <h2 id="invite-title">${e.title}</h2>
        <label class="hidden" for="link">${e.link}</label>
        <div class="row">
          <input id="link" readonly .value=${this.#e} @focus=${e=>e.target.select()} />
          ${r}
          <button aria-expanded=${!!this.code} @click=${this.#t}>${d(`qr`)} ${e.showCode}</button>
          ${typeof navigator.share==`function`?t`<button @click=${this.#i}>${e.share}</button>`:n}
        </div>
        ${this.code??n}
        ${this.#n?t`<p class="hint">${this.#n}</p>`:n}
        <p>${i}</p>
      </section>
    `}};customElements.define(`invite-link`,j);var M=1e3,N=class extends m{static properties={...m.properties,silent:{state:!0}};#e=``;render(){let{name:e,sends:r,state:i,still:a,own:s,whole:c,quality:l}=this.picture(),{people:u}=o(),f=s?u.own(e):e;return t`
      <figure class="tile ${s?`own`:``} ${a?`still`:``} ${c?`whole`:``}" aria-label=${f}>
        <video autoplay playsinline .muted=${s} ?hidden=${!r(`video`)} aria-label=${u.picture(f)}></video>
        ${r(`video`)?n:t`<span class="initials" aria-hidden="true">${L(e)}</span>`}
        ${i?t`<p class="over">${i}</p>`:n}
        ${this.silent?t`<button class="over" @click=${()=>this.#t()}>${u.hear(e)}</button>`:n}
        ${l&&!i?t`<p class="quality">${l}</p>`:n}
        ${this.more()}
        <figcaption>
          <span class="name">${s?u.you:g(e)}</span>
          ${r(`audio`)?n:t`<span class="off">${d(`mic-off`)}<span class="hidden">${u.silent}</span></span>`}
          ${r(`video`)?n:t`<span class="hidden">${u.noPicture}</span>`}
        </figcaption>
      </figure>
    `}more(){return n}updated(e){let{stream:t,speaker:n=``}=this.picture(),r=this.querySelector(`video`);r.srcObject!==t&&(r.srcObject=t),t.active&&r.paused&&this.#t(),n!==this.#e&&(this.#e=n,r.setSinkId?.(n).catch(()=>void 0))}async#t(){try{await this.querySelector(`video`)?.play(),this.silent=!1}catch(e){this.silent=e.name===`NotAllowedError`}}},P=class extends N{static properties={...N.properties,still:{state:!0}};#e;disconnectedCallback(){super.disconnectedCallback(),this.#e?.()}updated(e){super.updated(e),this.model.state===`open`?this.#e?.():this.#e??=this.#t()}#t(){let e=this.querySelector(`video`),t=performance.now(),n=()=>{t=performance.now(),r=e.requestVideoFrameCallback(n)},r=e.requestVideoFrameCallback(n),i=setInterval(()=>{this.still=performance.now()-t>=M},M/2);return()=>{clearInterval(i),e.cancelVideoFrameCallback(r),this.#e=void 0,this.still=!1}}picture(){let{model:e}=this,t=u(e),{text:n}=v(e);return{name:t,stream:e.stream,sends:t=>e.sends(t),state:e.state===`open`?``:n,quality:p(e.quality),whole:!e.pictures.isCamera,speaker:e.devices.chosen(`speaker`),still:this.still??!1,own:!1}}},F=class extends N{static properties={...N.properties,name:{attribute:!1}};#e=new MediaStream;constructor(){super(),this.addEventListener(`pointerdown`,e=>this.#r(e))}more(){let{people:e}=o();return t`
      <button class="move small square" title=${e.moveHint} @click=${()=>this.#t(`next`)} @keydown=${this.#n}>
        ${d(`move`)}<span class="hidden">${e.move}</span>
      </button>
    `}#t(e){this.dispatchEvent(new CustomEvent(`move`,{detail:e}))}#n(e){let[,t]=/^Arrow(Left|Right|Up|Down)$/.exec(e.key)??[];t&&(e.preventDefault(),this.#t(t.toLowerCase()))}#r(e){if(e.target.closest(`button`)||e.button)return;let t=new AbortController,{signal:n}=t,r=()=>{t.abort(),this.classList.remove(`dragged`),this.style.translate=``};this.setPointerCapture(e.pointerId),this.addEventListener(`pointermove`,({clientX:t,clientY:n})=>{this.classList.add(`dragged`),this.style.translate=`${t-e.clientX}px ${n-e.clientY}px`},{signal:n}),this.addEventListener(`pointercancel`,r,{signal:n}),this.addEventListener(`pointerup`,({clientX:t,clientY:n})=>{let i=Math.hypot(t-e.clientX,n-e.clientY)>20;r(),i&&this.#t({x:t,y:n})},{signal:n})}picture(){let e=this.model.tracks.filter(({kind:e})=>e===`video`),t=this.#e.getTracks();return(t.length!==e.length||t[0]!==e[0])&&(this.#e=new MediaStream(e)),{name:this.name,stream:this.#e,sends:e=>this.model.sends(e),state:``,still:!1,own:!0}}},I=class extends N{static properties={...N.properties,stream:{attribute:!1}};picture(){return{name:o().people.shows(g(u(this.model))),stream:this.stream,sends:()=>!0,state:``,still:!1,own:!1,whole:!0}}};function L(e){return e.split(/\s+/).filter(Boolean).slice(0,2).map(e=>[...e][0].toUpperCase()).join(``)}customElements.define(`friend-tile`,P),customElements.define(`own-tile`,F),customElements.define(`shown-tile`,I);var R=e({CallPage:()=>B}),z=2500,B=class extends m{static properties={...m.properties,talking:{state:!0},corner:{state:!0},place:{state:!0},moved:{state:!0}};#e=new l(this,async e=>{this.talking=!0;let t=this.querySelector(`chat-panel`),n=await e.catch(()=>t.lacks());n&&t.take(n)});#t=1;#n=new AbortController;#r;#i=new ResizeObserver(()=>this.#u());constructor(){super(),this.talking=!1,this.corner=b.find(e=>e===a(`corner`))??b[0],this.place=1/0,this.moved=``}connectedCallback(){super.connectedCallback(),this.#r=setInterval(()=>this.model.measure(),z),this.#n=new AbortController;let{signal:e}=this.#n;addEventListener(`keydown`,e=>this.#a(e),{signal:e}),a(`notifications`)===`on`&&y(async()=>{let{notifications:e}=await import(`./notifications-CG-BoIOn.js`);return{notifications:e}},__vite__mapDeps([2,3,4,5,6,1,7,8]),import.meta.url).then(({notifications:t})=>t.follow(this.model,e))}disconnectedCallback(){super.disconnectedCallback(),clearInterval(this.#r),this.#n.abort(),this.#i.disconnect()}firstUpdated(){this.focusOn(`h1`),this.#i.observe(this.querySelector(`.stage`))}updated(){this.#u()}#a(e){let t=e.defaultPrevented?void 0:k(e);t&&this.model.phase===`inside`&&(e.preventDefault(),this.#o(t))}#o(e){switch(e){case`chat`:this.talking=!0,this.focusOn(`#words`);break;case`floating`:this.float();break;case`list`:this.querySelector(`call-controls`).more(`#more-keys`);break;default:this.querySelector(`#${e}`)?.click()}}async float(){if(document.pictureInPictureElement)return document.exitPictureInPicture();await[...this.querySelectorAll(`:is(shown-tile, friend-tile) video:not([hidden])`)].find(({readyState:e})=>e>0)?.requestPictureInPicture?.().catch(()=>void 0)}#s(){this.talking=!this.talking,this.model.changed()}get#c(){let{shown:e}=this.model;return e.length===1&&!this.#l.length}get#l(){return this.model.shown.flatMap(e=>e.pictures.shown.map(t=>({friend:e,stream:t})))}#u(){let e=this.querySelector(`.stage`),t=this.querySelector(`.tiles`),{clientWidth:n,clientHeight:r}=e;e.dataset.shape=n>r*1.2?`wide`:`tall`;let i=[...t.querySelectorAll(`friend-tile`)],a=i.length+Number(!this.#c),o=Math.min(this.place,a-1),{columns:s,rows:c}=S(a,t.clientWidth,t.clientHeight);this.#t=s,t.style.setProperty(`--columns`,`${s}`),t.style.setProperty(`--rows`,`${c}`);for(let[e,t]of i.entries())t.style.order=`${e<o?e:e+1}`;this.querySelector(`own-tile`).style.order=`${o}`}#d({detail:e}){let{people:t}=o();if(this.#c){this.corner=typeof e==`object`?this.#f(e):e===`next`?b[(b.indexOf(this.corner)+1)%b.length]:C(this.corner,e),i(`corner`,this.corner),this.moved=t.places[this.corner];return}let n=this.querySelectorAll(`friend-tile`).length+1,r=Math.min(this.place,n-1);this.place=typeof e==`object`?this.#p(e)??r:e===`next`?(r+1)%n:w(r,e,n,this.#t),this.moved=t.place(this.place+1,n)}#f({x:e,y:t}){let{left:n,top:r,width:i,height:a}=this.querySelector(`.stage`).getBoundingClientRect();return`${t<r+a/2?`top`:`bottom`} ${e<n+i/2?`left`:`right`}`}#p({x:e,y:t}){let n=[...this.querySelectorAll(`.tiles > *`)].find(n=>{let{left:r,right:i,top:a,bottom:o}=n.getBoundingClientRect();return r<=e&&e<=i&&a<=t&&t<=o});return n&&Number(n.style.order)}render(){let{model:e,talking:i}=this,{call:a}=o(),{text:s,tone:c,more:l}=e.line,u=!e.shown.length;return t`
      <div class="call ${i?`talking`:``}">
        <header>
          <h1 tabindex="-1">${a.room} <span class="room">${e.room}</span></h1>
          <p class="state ${c}" role="status">
            <span>${s}${l?t` <span aria-hidden="true">${l}</span>`:n}</span>
          </p>
          ${u?n:t`<invite-link .room=${e.room} short></invite-link>`}
          <button class="switch small" @click=${this.#s}>
            ${d(i?`people`:`chat`)} ${i?a.people:this.#g}
          </button>
        </header>
        <main
          class="stage ${u?`alone`:``} ${this.#l.length?`showing`:``} ${this.#c?`pair`:``}"
          data-corner=${this.corner}
          aria-label=${a.people}
        >
          ${u?t`<invite-link .room=${e.room}></invite-link>`:n}
          ${this.#m()}
          <div class="tiles">
            ${r(e.shown,e=>e,e=>t`<friend-tile .model=${e}></friend-tile>`)}
            <own-tile .model=${e.devices} .name=${e.name} @move=${this.#d}></own-tile>
          </div>
          <p class="hidden" role="status">${this.moved}</p>
          ${e.screen.track?t`<p class="sharing">${d(`screen`)} ${a.shared}</p>`:n}
        </main>
        <div class="foot">${this.#h()}<call-controls .model=${e} @float=${()=>this.float()}></call-controls></div>
        <chat-panel .model=${e}></chat-panel>
        ${this.#e.over?t`<div class="drop"><p>${d(`file`)} ${a.drop}</p></div>`:n}
      </div>
    `}#m(){let e=this.#l;return e.length?t`
      <div class="shown">
        ${r(e,({stream:e})=>e,({friend:e,stream:n})=>t`<shown-tile .model=${e} .stream=${n}></shown-tile>`)}
      </div>
    `:n}#h(){let e=this.model.apart.filter(({wanted:e})=>e),{call:r}=o();return e.length?t`
      <section class="apart" aria-label=${r.apart}>
        ${e.map(e=>t`
            <p class="trouble">
              <span>${r.again(g(u(e)))}</span>
              <button class="small" aria-disabled=${e.trying} @click=${()=>e.trying||this.model.tryAgain(e)}>
                ${e.trying?r.trying:t`${r.tryAgain}<span class="hidden"> ${r.with(u(e))}</span>`}
              </button>
            </p>
          `)}
      </section>
    `:n}get#g(){let{unread:e}=this.model;return e?o().call.news(e):o().call.chat}};customElements.define(`call-page`,B);export{B as CallPage,O as i,T as n,D as r,R as t};