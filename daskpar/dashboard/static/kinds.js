// Kinds of operations, by which slots and bars are coloured.
export const KINDS = {
  forward: "forward", backward: "backward", gradient: "forward and backward", steps: "whole steps", update: "update",
  reduce: "reduce", load: "load", evaluate: "evaluate", transfer: "transfer", other: "other", wait: "waits",
};

const BY_NAME = [
  [/^(reduce|average|compress|error-feedback|feedback|add|join|sum-|pick-gradient|measure-norm|norm)/, "reduce"],
  [/^(send|halo|scatter|broadcast|receive|gather|transfer)/, "transfer"],
  [/^(update|load-average|parameter-server|server)/, "update"],
  [/^(load|read|prepare|decode|pick-rows)/, "load"],
  [/^(sums|evaluat|score|predict)/, "evaluate"],
  [/(backward|again)/, "backward"],
  [/^grad/, "gradient"],
  [/^(train-window|window)/, "steps"],
  [/^(forward|loss|project|ring)/, "forward"],
];

export const kindOf = (name) => {
  if (!name) return "wait";
  if (name in KINDS) return name;
  return BY_NAME.find(([pattern]) => pattern.test(name))?.[1] ?? "other";
};

// Of a slot the verb is known, e.g. "reduce"; a verb that says little leaves it to the name of the operation.
export const kindOfSlot = (slot) => {
  const byVerb = kindOf(slot.doing);
  return byVerb === "other" ? kindOf(slot.name) : byVerb;
};
