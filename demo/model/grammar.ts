/**
 * A grammar of short English texts: stories, letters, questions, facts, recipes, sums. It is what the model learns to
 * speak, and it is the project's own, words and all.
 *
 * A rule is a text with slots. `{noun}` is replaced by an expansion of the rule `noun`. `{noun=thing}` also remembers it,
 * and `{thing}` then says it again. `{a noun}` puts the right article before it, `{^noun}` makes its first letter large.
 */
import { LEXICON } from "./lexicon.ts";

/** A reproducible random number in [0, 1): Marsaglia's xorshift32. */
export type Random = () => number;

/** @param seed any integer */
export function randomOf(seed: number): Random {
  let state = (Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ 0x6d2b_79f5) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const RULES: Readonly<Record<string, readonly string[]>> = {
  ...LEXICON,

  // ── stories ────────────────────────────────────────────────────────────────────────────────────────────────────
  story: [
    "{opening} {trouble} {attempt} {turn} {ending}",
    "{opening} {trouble} {meeting} {turn} {ending}",
    "{opening} {wish} {journey} {meeting} {ending}",
    "{opening} {finding} {meeting} {turn} {ending}",
    "{opening} {wish} {attempt} {ending}",
    "{opening} {finding} {journey} {ending}",
    "{animalOpening} {animalTrouble} {animalTurn} {animalEnding}",
    "{animalOpening} {animalTalk} {animalTurn} {animalEnding}",
  ],
  opening: [
    "Once there was {a trait person=role} called {name=hero} who lived in {a size house=home} {where}.",
    "{name=hero} was {a trait person=role}. {^she} lived in {a adjective house=home} {where}.",
    "In {a size house=home} {where} there lived {a trait person=role} whose name was {name=hero}.",
    "Long ago {a person=role} named {name=hero} lived in {a house=home} {where}.",
    "Nobody in the village knew where {name=hero} the {person=role} had come from. {^she} lived alone in {a adjective house=home} {where}.",
    "{name=hero} the {person=role} had {a trait pet=friend}, and the two of them lived in {a house=home} {where}.",
  ],
  where: [
    "by the {water}",
    "on the edge of the {wood}",
    "at the foot of {a size hill}",
    "near the old {landmark}",
    "behind the {landmark}",
    "between the {water} and the {wood}",
    "at the end of {a adjective road}",
    "in the middle of {a adjective field}",
  ],
  trouble: [
    "{^time} {hero} lost {her} {adjective thing=treasure}. {^she} looked {search}, {search} and {search}, but it was not there.",
    "{^time} {disaster}.",
    "{^time} {a trait beast=beast} came out of the {wood} and took {her} {thing=treasure}.",
    "{^time} the {tool=treasure} broke, and without it {hero} could not {work}.",
    "But the {plant} did not grow that year, and there was nothing to eat but {food}.",
    "Then the {water} rose, and all the {plural} of the village were wet.",
    "But {hero} could not sleep, because {a trait animal=beast} {noise} under {her} window every night.",
  ],
  wish: [
    "More than anything {she} wanted {a adjective thing=treasure}.",
    "{^she} had always wanted to see the {place=goal}.",
    "Every {dayPart} {she} dreamed of {a material thing=treasure}.",
    "{^her} {relative} had told {her2} about {a adjective place=goal} where the {plural} were made of {material}.",
    "“One day,” {she} used to say, “I will {deed}.”",
  ],
  finding: [
    "{^time} {she} found {a material thing=treasure} {hidden}.",
    "{^time}, while {she} was {working}, {she} saw {a adjective thing=treasure} {hidden}.",
    "{^time} there was {a knock} at the door, and on the step lay {a material thing=treasure}.",
    "{^time} {a trait bird} dropped {a size material thing=treasure} into {her} {container}.",
  ],
  attempt: [
    "So {hero} took {a tool} and {a food2} and went to the {place}. {^result}.",
    "{^she} asked the {person=helper}, but the {helper} only {gesture}. “{advice},” said the {helper}.",
    "First {she} tried {a tool}. {^result}. Then {she} tried {a material tool}. {^result}.",
    "{^she} {movedAdverb} to the {place} and {waited}. {^result}.",
    "For {few} days {she} worked, and for {few} nights {she} {waited}. {^result}.",
  ],
  journey: [
    "So {she} put {a food2}, {a clothing} and {a tool} into {a container} and {moved} {path}.",
    "{^she} {movedAdverb} {path}, {path} and {path}.",
    "{^she} left before {dayPart} and {moved} for {few} days. The {sky} was {skyColour}, and the {wind} was {temperature}.",
    "The road went {path}, and {she} was soon {feeling}. But {she} did not turn back.",
  ],
  meeting: [
    "There {she} met {a trait animal=friend}. “{question}?” asked the {friend}. “{answer},” said {hero}.",
    "On the way {she} met {a trait person=friend} with {a adjective thing}. “{question}?” asked the {friend}. “{answer},” said {hero}.",
    "{^a trait person=friend} was sitting {where}. “{advice},” said the {friend}, and gave {her2} {a material thing}.",
    "Suddenly {a trait animal=friend} stood before {her2}. It was {colour} all over, and its eyes were like {plural}. “{advice},” it said.",
  ],
  turn: [
    "That night {she} could not sleep. {^she} thought of what the {friend} had said.",
    "Then {hero} had {a adjective idea}. {^she} {did}, and {she} {did}.",
    "“{exclamation}!” cried {hero}. {^she} had never been so {feeling}.",
    "Then the {weather} stopped, and everything was {quiet}.",
    "But when {she} opened the {container}, there was nothing in it but {a adjective thing}.",
    "And so {hero} gave the {friend} half of {her} {food}.",
  ],
  ending: [
    "From that day on {hero} was never {feelingBad} again.",
    "And if {she} has not moved away, {she} still lives {where}.",
    "In the end {she} went home, made a pot of {drink}, and slept until {dayPart}.",
    "The {person} laughed, the {plural} sang, and the whole village ate {food} until {dayPart}.",
    "{^her} {relative} still tells the story to anyone who brings {a food2}.",
    "That is how the {village} got its {landmark}.",
    "And {she} kept {a size thing} on the shelf, so as not to forget it.",
    "“Next time,” said {hero}, “I will take {a tool} with me.”",
    "{^she} never told anybody about it, except {her} {relative}.",
  ],
  animalOpening: [
    "{^a trait animal=one} and {a trait animal=other} lived together {where}.",
    "There was once {a trait animal=one} who wanted to be {a animal=other}.",
    "{^time} {a trait animal=one} met {a trait animal=other} {where}.",
    "All the animals of the {wood} were afraid of the {animal=one}. Only the {animal=other} was not.",
  ],
  animalTrouble: [
    "The {one} wanted to eat {food}, but the {other} wanted to eat {food}.",
    "The {one} had found {a adjective thing}, and the {other} wanted to have it.",
    "It was a {temperature} {season}, and there was no {food} left.",
    "The {other} was {feeling}, and the {one} did not know why.",
  ],
  animalTalk: [
    "“{question}?” asked the {one}. “{answer},” said the {other}.",
    "“You are too {trait},” said the {one}. “And you are too {trait},” said the {other}.",
    "“Who made the {sky}?” asked the {one}. “{^a person} with {a tool},” said the {other}.",
    "“I can {can} better than you,” said the {one}. “But can you {can}?” asked the {other}.",
  ],
  animalTurn: [
    "So they {did}, and they {did}.",
    "They walked {path} until they came to {a adjective place}.",
    "Then {a trait person} came by with {a container} full of {plural}.",
    "At that moment the {weather} began, and they hid under {a adjective plantTree}.",
    "They asked the {animal=judge} to decide. The {judge} thought for {few} days and said: “{advice}.”",
  ],
  animalEnding: [
    "Since then the {one} and the {other} share everything, even the {food}.",
    "And that is why the {one} {noise} whenever it sees {a other}.",
    "After that the {one} never spoke to the {other} again.",
    "The {other} is still looking for its {thing}.",
    "And they were both {feeling}, which does not happen often.",
  ],

  // ── speech ─────────────────────────────────────────────────────────────────────────────────────────────────────
  question: [
    "Where are you going",
    "What are you looking for",
    "Why are you so {feeling}",
    "What do you have in that {container}",
    "Do you know the way to the {place}",
    "Have you seen my {thing}",
    "Can you {can}",
    "How much is {a food2}",
    "Who lives in the {house}",
  ],
  answer: [
    "I am going to the {place}",
    "To the {place}, to buy {a food2}",
    "I am looking for {a adjective thing}",
    "I have lost my {thing}",
    "Nothing but {plural}",
    "Yes, if you give me {a food2}",
    "No, but my {relative} can",
    "Follow the {water} and turn left at the {landmark}",
    "I do not know, but the {person} may know it",
    "Because the {weather} is coming",
  ],
  advice: [
    "Never {work} before {dayPart}",
    "Take {a tool} and wait until {dayPart}",
    "You must ask the {person} who lives {where}",
    "Look {search}, and do not look back",
    "What is lost {where} comes back in {season}",
    "{^a trait} heart needs no {thing}",
    "Give {food} to the {animal}, and it will help you",
    "Do not trust {a person} with {a colour clothing}",
    "He who has {a tool} needs no {person}",
  ],
  dialogue: [
    "“{question}?” asked {name=hero}. “{answer},” said the {person=friend}. “{question}?” “{answer},” said {hero}. And they both {gesture2}.",
    "{name=hero} met the {person=friend} at the {place}. “Good {dayPart2}, {hero},” said the {friend}. “{question}?” “{answer},” said {hero}. “Then {farewell},” said the {friend}.",
    "“I would like {number} {plural} and {a food2}, please,” said {name=hero}. “That makes {number} coins,” said the {person=friend}. “And {a drink2}?” “No, thank you,” said {hero}. “{^farewell}.”",
  ],
  farewell: ["good luck", "safe journey", "see you tomorrow", "take care", "until {weekday}", "come back soon"],

  // ── small forms ────────────────────────────────────────────────────────────────────────────────────────────────
  letter: [
    "Dear {name=to},\nI am writing to you from the {place}, where it is {temperature} and {skyColour}. {^letterNews} {^letterNews} Please send me {a food2} and {a clothing}.\nYours, {name=from}",
    "Dear {relative},\nthank you for the {adjective thing}. {^letterNews} When will you visit us {where}? The {plural} are {colour} in {season}.\nWith love, {name=from}",
  ],
  letterNews: [
    "the {person} has married the {person}.",
    "our {pet} is {feeling}, but it eats its {food}.",
    "yesterday I saw {a trait animal} {where}.",
    "the {weather} has {damaged} the {landmark}.",
    "I have learned to {can}.",
    "on {weekday} we went to the {place}.",
    "the {plant} is growing, and the {water} is {temperature}.",
  ],
  recipe: [
    "To make {dish=dish}, take {few} {plural2=main}, {a food2} and some {ingredient=spice}. Cut the {main} into {size} pieces and put them into {a pot}. Add the {spice}, {stir}, and cook it for {few} minutes. Serve the {dish} {temperature}, with {drink}.",
    "For {dish=dish} you need {ingredient}, {ingredient} and {few} {plural2}. Mix everything in {a pot} and {stir}. Let it stand until {dayPart}. The {dish} is best with {a drink2}.",
  ],
  weatherReport: [
    "The weather for {weekday}: {temperature} in the morning, {weather2} in the afternoon, and {weather2} at night. Take {a clothing} with you.",
    "On {weekday} the {wind} will come from the {direction}. It will be {temperature} by the {water} and {weather2} in the hills. On {weekday} it will be better.",
  ],
  directions: [
    "To get to the {place=goal}, go {path}, turn {side} at the {landmark}, and cross the {water}. The {goal} is behind the {landmark}. Ask for {name}.",
    "The way to the {place=goal} is easy: follow the {road} to the {direction}, count {number} {plural}, and turn {side}. If you see {a trait animal}, you have gone too far.",
  ],
  description: [
    "The {place=goal} is {a adjective place2}. In {season} it is {colour}, in {season} it is {colour}. People go there to {work}, and the {animal} comes there to drink.",
    "{name=hero} wears {a colour clothing} and {a colour clothing}. {^she} has {a adjective voice} and {hair} hair, and {she} always carries {a tool}.",
    "On the table there is {a material container}, and in it there are {number} {plural}. Next to it lies {a adjective thing}. It belongs to {name} the {person}.",
    "It is {dayPart}. The {sky} is {skyColour}. {^a trait animal} {noise}, and somewhere {a person} is {working}.",
  ],
  diary: [
    "{weekday}. Got up at {hour}. It was {temperature} and {weather2}. Went to the {place}, bought {a food2} and {a tool}. Met {name=hero}, who was {feeling}. {^she} told me about {a adjective place}. In the evening {drink} and {food}.",
    "{weekday}. No {food} left. The {pet} is {feeling}. I {did} and {did}. Tomorrow I will {work}.",
  ],
};

/** Sums up to twenty, days, and what animals are: texts with one right answer, which the model can know or not know. */
function fact(random: Random): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const kind = Math.floor(random() * 6);
  const numbers = LEXICON["count"]!;
  if (kind === 0) {
    const a = 1 + Math.floor(random() * 9);
    const b = 1 + Math.floor(random() * 9);
    return `${capital(numbers[a]!)} and ${numbers[b]!} make ${numbers[a + b]!}.`;
  }
  if (kind === 1) {
    const days = LEXICON["weekday"]!;
    const day = Math.floor(random() * 7);
    return `After ${days[day]!} comes ${days[(day + 1) % 7]!}.`;
  }
  const [animal, home, food, voice, part] = pick(LEXICON["animalFacts"]!).split("|") as [
    string,
    string,
    string,
    string,
    string,
  ];
  if (kind === 2) {
    return `Question: where does the ${animal} live? Answer: the ${animal} lives ${home}.\nQuestion: what does it eat? Answer: it eats ${food}.`;
  }
  const name = article(animal);
  const sentences = [
    `${capital(name)} lives ${home}.`,
    `It eats ${food}.`,
    `It ${voice}.`,
    `It has ${part}.`,
    `It sleeps ${home}, too.`,
  ];
  const start = `What do we know about the ${animal}?`;
  return kind === 3
    ? `${start} ${sentences[0]!} ${sentences[1]!} ${sentences[2]!}`
    : `${sentences[0]!} ${sentences[3]!}, and it ${voice}. ${sentences[1]!}`.replace(".,", ",");
}

const FORMS: readonly (readonly [form: string, share: number])[] = [
  ["story", 0.55],
  ["dialogue", 0.1],
  ["description", 0.07],
  ["letter", 0.05],
  ["diary", 0.04],
  ["recipe", 0.04],
  ["directions", 0.03],
  ["weatherReport", 0.02],
];

/** One text. */
export function compose(random: Random): string {
  let at = random();
  const form = FORMS.find(([, share]) => (at -= share) < 0)?.[0];
  if (form === undefined) return fact(random);
  const female = random() < 0.5;
  const known = new Map<string, string>(
    Object.entries(
      female
        ? { she: "she", her: "her", her2: "her", herself: "herself" }
        : { she: "he", her: "his", her2: "him", herself: "himself" },
    ),
  );
  const names = LEXICON[female ? "woman" : "man"]!;
  const expand = (rule: string): string => {
    if (rule === "name") return names[Math.floor(random() * names.length)]!;
    const choices = RULES[rule];
    if (choices === undefined) throw new RangeError(`grammar: there is no rule ${JSON.stringify(rule)}`);
    return fill(choices[Math.floor(random() * choices.length)]!);
  };
  const fill = (text: string): string =>
    text.replace(/\{(\^?)(a )?([\w ]+?)(?:=(\w+))?\}/g, (_, large: string, a: string | undefined, slot: string, to) => {
      // Words in front of the last one are rules of their own: {a trait person} is an adjective and a person.
      const words = slot.split(" ");
      const last = words.pop()!;
      const head =
        known.get(last) ?? (RULES[last] === undefined && last !== "name" ? unknown(last, known) : expand(last));
      if (typeof to === "string") known.set(to, head);
      const said = [...words.map((word) => known.get(word) ?? expand(word)), head].join(" ");
      const whole = a === undefined ? said : article(said);
      return large === "" ? whole : capital(whole);
    });
  return fill(RULES[form]![Math.floor(random() * RULES[form]!.length)]!);
}

/** What to say for a name that no sentence so far has bound: somebody or something new, which is then remembered. */
function unknown(name: string, known: Map<string, string>): string {
  const fallback = { friend: "stranger", treasure: "treasure", home: "house", goal: "city", helper: "stranger" }[name];
  if (fallback === undefined) throw new RangeError(`grammar: nothing is called ${JSON.stringify(name)}`);
  known.set(name, fallback);
  return fallback;
}

function article(noun: string): string {
  return `${/^(?:[aeio]|un(?!i)|ug|um|up|hon|hour)/.test(noun) ? "an" : "a"} ${noun}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
