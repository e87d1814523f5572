// Runs in a page and returns what is wrong with it for people who see badly or use no mouse: a list of sentences.
// Contrast as WCAG 2.2 defines it (1.4.3, 1.4.11), from computed styles.
() => {
  const wrong = [];
  const name = (element) => {
    const text = (element.textContent || "").trim().slice(0, 30);
    const kind = element.getAttribute("class");
    return `<${element.localName}${kind ? "." + kind.split(" ").join(".") : ""}> “${text}”`;
  };

  // --- colours ---
  // A canvas reads every notation that a style may have.
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([r, g, b, a], [red, green, blue]) => [r, g, b].map((c, i) => c * a + [red, green, blue][i] * (1 - a));
  const ground = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.push(rgba(getComputedStyle(each).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const check = (what, colour, behind, least) => {
    const found = contrast(over(rgba(colour), behind), behind);
    if (found < least) wrong.push(`${what}: contrast ${found.toFixed(2)}, at least ${least} is needed`);
  };
  const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  let texts = 0;
  for (const element of document.body.querySelectorAll("*")) {
    if (!visible(element)) continue;
    const style = getComputedStyle(element);
    if (style.opacity !== "1") wrong.push(`${name(element)}: is seen through`);
    if (element.closest("svg")) {
      if (element.localName === "rect" && !element.classList.contains("track")) {
        check(name(element.closest("svg")) + " " + element.getAttribute("class"), style.fill, ground(element.closest("svg")), 3);
      }
      continue;
    }
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (own || element.matches("input, select")) {
      texts += 1;
      check(name(element), style.color, ground(element), large ? 3 : 4.5);
    }
    if (element.matches("input, select")) check(`the border of ${name(element)}`, style.borderColor, ground(element.parentElement), 3);
    const before = getComputedStyle(element, "::before");
    if (before.content.startsWith("counter")) {
      const behind = over(rgba(before.backgroundColor), ground(element));
      check(`the number of ${name(element)}`, before.color, behind, 4.5);
    } else if (before.content === '""') {
      check(`the mark of ${name(element)}`, before.backgroundColor, ground(element), 3);
    }
  }
  if (texts < 5) wrong.push(`only ${texts} texts were looked at`);

  // --- structure ---
  const count = (selector) => document.querySelectorAll(selector).length;
  if (!document.title.trim()) wrong.push("no title");
  if (document.documentElement.lang !== "en") wrong.push("no language");
  for (const selector of ["h1", "main", "body > header", "body > footer"]) {
    if (count(selector) !== 1) wrong.push(`${count(selector)} of ${selector}`);
  }
  const landmarks = [...document.querySelectorAll("nav, section, article, form, [role=region]")];
  const labels = landmarks.map((each) => {
    const by = each.getAttribute("aria-labelledby");
    if (by && !document.getElementById(by)) wrong.push(`${name(each)}: nothing has the id ${by}`);
    return each.localName + ": " + (each.getAttribute("aria-label") || document.getElementById(by)?.textContent || "").trim();
  });
  labels.forEach((label, index) => {
    if (label.endsWith(": ")) wrong.push(`a ${label} without a name`);
    if (labels.indexOf(label) !== index) wrong.push(`two are called ${label}`);
  });
  if (!document.querySelector("nav")) wrong.push("no nav");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const next = Number(heading.localName[1]);
    if (next > level + 1) wrong.push(`${name(heading)}: comes after h${level}`);
    level = next;
  }
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  if (new Set(ids).size !== ids.length) wrong.push(`ids come twice: ${ids.filter((id, i) => ids.indexOf(id) !== i)}`);
  for (const table of document.querySelectorAll("table")) {
    if (!table.caption?.textContent.trim()) wrong.push(`${name(table)}: no caption`);
    for (const head of table.querySelectorAll("th")) {
      if (!["row", "col"].includes(head.scope)) wrong.push(`${name(head)}: no scope`);
      if (!head.textContent.trim()) wrong.push("an empty table head");
    }
    for (const row of table.tBodies[0]?.rows ?? []) {
      if (!row.querySelector("th[scope=row]")) wrong.push(`${name(row)}: a row without a head`);
    }
  }
  for (const drawing of document.querySelectorAll("svg")) {
    const named = drawing.getAttribute("role") === "img" && drawing.getAttribute("aria-label");
    if (!named && drawing.getAttribute("aria-hidden") !== "true") wrong.push(`${name(drawing)}: neither named nor hidden`);
  }
  for (const field of document.querySelectorAll("input, select")) {
    if (!field.labels.length) wrong.push(`${name(field)}: no label`);
  }
  for (const control of document.querySelectorAll("a, button, summary")) {
    if (!(control.textContent.trim() || control.getAttribute("aria-label"))) wrong.push(`${name(control)}: no name`);
  }

  // --- room ---
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) {
    const wide = [...document.body.querySelectorAll("*")].filter((each) => each.getBoundingClientRect().right > width + 1);
    wrong.push(`the page is ${document.documentElement.scrollWidth} wide: ${wide.slice(0, 5).map(name)}`);
  }
  return wrong;
}
