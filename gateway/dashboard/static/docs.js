// Copies a call; where a page may not (no https beyond loopback), it is selected instead.
const told = document.querySelector(".copied");
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const call = button.closest("figure").querySelector("[data-call]");
  try {
    await navigator.clipboard.writeText(call.textContent);
    told.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(call);
    told.textContent = "Selected; copy it with your keyboard.";
  }
  setTimeout(() => { told.textContent = ""; }, 2500);
});
