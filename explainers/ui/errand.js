// A connection of its own for what is asked beside the question: goes out by name, comes back as an event of that name.
(sightglass.errands ??= {})[NAME] = (data) => trigger(NAME, data);
watch("value", () => props.value && sightglass.emit(NAME, props.value));
