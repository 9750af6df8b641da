// Speaking from the page: audio comes as an answer to a form of ours, and is played from memory.
"use strict";
(() => {
  const form = document.getElementById("try");
  if (!form) return;
  const find = (id) => document.getElementById(id);
  const addresses = new WeakMap();
  let sample = null;

  // One request; gives its audio and what its headers tell, or throws with the gateway's words.
  const speak = async (body) => {
    const began = performance.now();
    const answer = await fetch("/dashboard/try/speech", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "X-CSRF-Token": form.elements.csrf.value,
        "X-Title": "Dashboard",
      },
      body: JSON.stringify({ response_format: "mp3", ...body }),
    });
    const first = performance.now() - began;
    if (!answer.ok) {
      const told = await answer.json().catch(() => null);
      throw new Error(told?.error?.message ?? `the gateway answered ${answer.status}`);
    }
    const sound = await answer.blob();
    const told = (name) => answer.headers.get(name) ?? "";
    return {
      sound,
      id: told("x-generation-id"),
      facts: [
        ["Provider", told("x-provider")],
        ["Model", told("x-model")],
        ["Voice", told("x-voice")],
        ["First audio", `${Math.round(first)} ms`],
        ["All of it", `${Math.round(performance.now() - began)} ms, ${Math.ceil(sound.size / 1024)} KiB`],
      ],
    };
  };

  const put = (player, sound) => {
    if (addresses.has(player)) URL.revokeObjectURL(addresses.get(player));
    const address = URL.createObjectURL(sound);
    addresses.set(player, address);
    player.src = address;
  };

  const tell = (list, { facts, id }) => {
    const entries = facts.map(([name, value]) => [name, document.createTextNode(value)]);
    if (id) {
      const link = document.createElement("a");
      link.href = `/dashboard/requests/${encodeURIComponent(id)}`;
      link.textContent = id;
      entries.push(["Record", link]);
    }
    list.replaceChildren(
      ...entries.flatMap(([name, value]) => {
        const term = document.createElement("dt");
        const told = document.createElement("dd");
        term.textContent = name;
        told.append(value);
        return [term, told];
      }),
    );
  };

  // Runs one thing at a time of a button, and tells how it went.
  const run = async (button, status, wrong, work) => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    wrong.textContent = "";
    status.textContent = "Speaking ...";
    try {
      status.textContent = await work();
    } catch (error) {
      status.textContent = "";
      wrong.textContent = `That did not work: ${error.message}.`;
    } finally {
      button.removeAttribute("aria-busy");
    }
  };

  const asked = () => ({
    model: form.elements.model.value,
    input: form.elements.input.value,
    voice: new FormData(form).get("voice") ?? "",
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(form.querySelector("[data-speak]"), find("status"), find("wrong"), async () => {
      const said = await speak(asked());
      const box = find("said");
      const player = box.querySelector("audio");
      put(player, said.sound);
      tell(box.querySelector("[data-facts]"), said);
      box.hidden = false;
      player.play().catch(() => {});
      return "Spoken.";
    });
  });

  const listen = (button) =>
    run(button, find("voice-status"), find("voice-wrong"), async () => {
      const { model } = asked();
      const said = await speak({ model, voice: button.dataset.listen, input: button.dataset.sample });
      sample ??= new Audio();
      put(sample, said.sound);
      sample.play().catch(() => {});
      return `Heard ${button.dataset.listen || "the offer's own choice"}.`;
    });

  // Comparing: each side is asked alone; blind, names stay hidden until they are wanted.
  let hidden = [];
  const compare = (button) =>
    run(button, find("compare-status"), find("compare-wrong"), async () => {
      const sides = ["a", "b"].map((side) => form.elements[side].value);
      if (sides.includes("")) throw new Error("choose two offers");
      const { input, voice } = asked();
      const pinned = (offer) => {
        const at = offer.indexOf(":");
        const provider = { only: [offer.slice(0, at)], allow_fallbacks: false, voice_switch: "any" };
        return { model: offer.slice(at + 1), input, voice, provider };
      };
      const said = await Promise.all(sides.map((offer) => speak(pinned(offer))));
      const isBlind = find("blind").checked;
      if (isBlind && crypto.getRandomValues(new Uint8Array(1))[0] & 1) said.reverse();
      const boxes = [...document.querySelectorAll("[data-player]")];
      boxes.forEach((box, place) => {
        put(box.querySelector("audio"), said[place].sound);
        box.querySelector("[data-facts]").replaceChildren();
      });
      hidden = said.map((each, place) => () => tell(boxes[place].querySelector("[data-facts]"), each));
      find("players").hidden = false;
      form.querySelector("[data-reveal]").hidden = !isBlind;
      if (!isBlind) hidden.forEach((show) => show());
      return isBlind ? "Both are spoken, in an order of luck." : "Both are spoken.";
    });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-listen], [data-compare], [data-reveal]");
    if (!button) return;
    if ("listen" in button.dataset) listen(button);
    else if ("compare" in button.dataset) compare(button);
    else {
      hidden.forEach((show) => show());
      button.hidden = true;
    }
  });

  document.addEventListener("input", (event) => {
    if (!("voiceFilter" in event.target.dataset)) return;
    event.stopPropagation();
    const wanted = event.target.value.trim().toLowerCase();
    for (const line of document.querySelectorAll("#voice-list [data-voice]")) {
      line.hidden = !line.dataset.voice.includes(wanted);
    }
  });
})();
