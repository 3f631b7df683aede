// The page in a frame of a notebook; what stands in it becomes the widget's state.
export default {
  render({ model, el }) {
    const frame = document.createElement("iframe");
    Object.assign(frame, { srcdoc: model.get("page"), title: "explorer" });
    Object.assign(frame.style, { width: "100%", height: `${model.get("height")}px`, border: "0" });
    const told = (state) => {
      model.set("state", JSON.parse(JSON.stringify(state)));
      model.save_changes();
    };
    frame.addEventListener("load", () => {
      const page = frame.contentWindow;
      page.addEventListener("elbax", (event) => told(event.detail));
      if (page.elbax?.state) told(page.elbax.state);
    });
    el.append(frame);
  },
};
