import "./view/app.js";
