import{i as e,n as t}from"./lit-BqTy6KEj.js";import{n,t as r}from"./devices-BBeZaglH.js";import{i,t as a,u as o}from"./index-Ip56eZ1r.js";import{r as s}from"./language-BvpgMebL.js";var c=class extends a{#e=new n(e=>{let t=this.querySelector(`meter`);t&&(t.value=e)},()=>this.requestUpdate());#t=new MediaStream;disconnectedCallback(){super.disconnectedCallback(),this.#e.stop()}updated(){let e=this.model.track(`video`);for(let t of this.#t.getTracks())t!==e&&this.#t.removeTrack(t);e&&this.#t.addTrack(e);let t=this.querySelector(`video`);t.srcObject!==this.#t&&(t.srcObject=this.#t),e&&t.paused&&t.play().catch(()=>void 0),this.#e.follow(this.model.sends(`audio`)?this.model.track(`audio`):void 0)}render(){let{enter:n,people:a}=s(),{model:c}=this,l=c.sends(`video`),u=c.sends(`audio`)&&this.#e.runs,d=o(c.troubles);return e`
      <div class="preview">
        <figure class="tile own" aria-label=${n.picture}>
          <video autoplay playsinline .muted=${!0} ?hidden=${!l} aria-label=${a.picture(a.you)}></video>
          ${l?t:e`<p>${i(`camera-off`)} ${n.noPicture}</p>`}
        </figure>
        <div class="troubles" role="alert">${d.map(t=>e`<p class="trouble">${t}</p>`)}</div>
        ${u?e`
                <label for="level">${n.level}</label>
                <meter id="level" min="0" max="1" low="0.15"></meter>
                <p class="hint">${n.levelHint}</p>
              `:t}
        ${r(c,{test:!0})}
      </div>
    `}};customElements.define(`device-preview`,c);export{c as DevicePreview};