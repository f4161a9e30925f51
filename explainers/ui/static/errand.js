// A connection of its own for what is asked beside the question: goes out by name, comes back as an event of that name.
// It carries no store of its own, since there are many of these, and they may be there before any part.
(window.sightglassErrands ??= {})[NAME] = (data) => trigger(NAME, data);
watch("value", () => props.value && window.sightglass.emit(NAME, props.value));
