import{i as e,n as t}from"./lit-BqTy6KEj.js";import{P as n,v as r}from"./index-Ip56eZ1r.js";import{r as i}from"./language-BvpgMebL.js";var a=-60,o=.4;function s(e){let t=e.reduce((e,t)=>e+t*t,0)/Math.max(e.length,1),n=10*Math.log10(Math.max(t,1e-12));return Math.min(1,Math.max(0,1-n/a))}var c=class{#e;#t;#n;#r;#i=0;constructor(e,t){this.#e=e,this.#t=t}get runs(){return this.#r?.state===`running`}follow(e){if(e===this.#n||(this.stop(),!e))return;this.#n=e;let t=this.#r=new AudioContext;t.addEventListener(`statechange`,()=>this.#t());let n=t.createAnalyser();n.fftSize=1024,t.createMediaStreamSource(new MediaStream([e])).connect(n);let r=new Float32Array(n.fftSize),i=()=>{n.getFloatTimeDomainData(r),this.#e(s(r)),this.#i=requestAnimationFrame(i)};i()}stop(){cancelAnimationFrame(this.#i),this.#r?.close(),this.#r=this.#n=void 0}};async function l(e){let t=new AudioContext,n=t.createMediaStreamDestination(),r=t.createGain();r.gain.value=.2,r.connect(n);for(let[e,n]of[523,659].entries()){let i=t.createOscillator();i.frequency.value=n,i.connect(r),i.start(t.currentTime+e*o),i.stop(t.currentTime+(e+1)*o)}let i=new Audio;i.srcObject=n.stream,e&&await i.setSinkId?.(e).catch(()=>void 0),await i.play().catch(()=>void 0),setTimeout(()=>void t.close(),3*o*1e3)}function u(r,{test:a=!1}={}){let o=i();return e`
    ${n.map(e=>d(r,e))}
    ${a?e`<button type="button" class="small" @click=${()=>l(r.chosen(`speaker`))}>${o.enter.test}</button>`:t}
  `}function d(n,a){let o=i().devices,s=n.list(a);if(!s.length)return t;let c=n.chosen(a),l=({target:e})=>n.choose(a,e.value),u=s.some(({id:e})=>e===c);return e`
    <label class="choose">
      <span>${o[a]}</span>
      <select @change=${l}>
        ${u?t:e`<option value="" selected>${o.browsers}</option>`}
        ${s.map(({id:t,label:n})=>e`<option value=${t} .selected=${t===c}>${r(n)}</option>`)}
      </select>
    </label>
  `}export{c as n,u as t};