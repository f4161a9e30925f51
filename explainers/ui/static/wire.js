// The one connection between the page and Python: events go out, answers come in.
sightglass.catalogue = props.catalogue;
sightglass.question.model = props.catalogue.networks[0].id;
sightglass.question.score = props.catalogue.score;
sightglass.send = (type, data) => trigger(type, data); // "ask", "open", "stop", "save"
watch("value", () => {
  if (props.value?.saved) sightglass.emit("saved", props.value);
  else sightglass.receive(props.value);
});
sightglass.wired = true;
sightglass.emit("wired");
