// The theme that was chosen here, before anything is painted.
"use strict";
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch (refused) { /* storage is off: the system's theme counts */ }
