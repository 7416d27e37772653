/** The words of the grammar, by what they are for. */

const list = (words: string): readonly string[] =>
  words
    .split(",")
    .map((word) => word.trim())
    .filter(Boolean);

export const LEXICON: Readonly<Record<string, readonly string[]>> = {
  woman: list(`Mara, Ida, Nora, Lena, Ruth, Clara, Hanna, Greta, Alma, Vera, Olga, Tilda, Rosa, Elsa, Marta, Irma, Dora,
    Flora, Paula, Sofia, Ines, Judith, Wanda, Zora, Edith, Mina, Lotte, Agnes, Thea, Bella`),
  man: list(`Anton, Bruno, Emil, Felix, Georg, Hugo, Ivan, Jonas, Karl, Leo, Max, Niko, Otto, Paul, Rolf, Simon, Theo, Viktor,
    Walter, Oskar, Anders, Boris, Conrad, Gustav, Henry, Ludwig, Martin, Peter, Robert, Samuel`),
  person:
    list(`baker, miller, tailor, shepherd, fisherman, carpenter, painter, teacher, doctor, sailor, gardener, farmer,
    hunter, weaver, potter, clockmaker, musician, soldier, king, queen, princess, prince, beggar, merchant, thief, judge, monk,
    nun, wizard, witch, giant, dwarf, knight, smith, cobbler, postman, librarian, captain, cook, butcher, boatman, lamplighter,
    beekeeper, chimney sweep, glassblower, juggler, astronomer, apprentice, innkeeper, nurse, widow, hermit, pilot, engineer,
    printer, barber, locksmith, woodcutter, goatherd, traveller`),
  relative:
    list(`mother, father, sister, brother, grandmother, grandfather, aunt, uncle, cousin, daughter, son, neighbour,
    wife, husband, godmother, nephew, niece, twin`),
  pet: list(
    `dog, cat, goat, parrot, pony, goose, tortoise, kitten, puppy, canary, donkey, rabbit, hen, pigeon, hamster`,
  ),
  animal:
    list(`fox, owl, bear, wolf, hare, hedgehog, frog, toad, mouse, rat, squirrel, badger, deer, stag, boar, otter, beaver,
    mole, bat, snake, lizard, snail, spider, ant, bee, beetle, crow, raven, magpie, stork, heron, swan, duck, eagle, hawk, sparrow,
    robin, cuckoo, woodpecker, nightingale, seal, whale, salmon, trout, crab, turtle, camel, elephant, lion, tiger, monkey,
    giraffe, zebra, crocodile, penguin, ostrich, cow, horse, sheep, pig, ox, butterfly, cricket, worm, weasel, lynx`),
  bird: list(`crow, raven, magpie, stork, eagle, hawk, owl, swan, pigeon, gull, falcon, heron, crane, jay`),
  beast: list(`dragon, troll, wolf, bear, boar, giant, ghost, goblin, serpent, ogre, griffin, monster`),
  // Of people and animals.
  trait:
    list(`old, young, poor, rich, kind, clever, foolish, brave, lazy, proud, shy, merry, sad, lonely, hungry, thirsty, honest,
    greedy, patient, quick, slow, strong, weak, gentle, wise, strange, curious, careful, clumsy, famous, sleepy, busy, cheerful,
    gloomy, polite, rude, stubborn, timid, bold, humble, lame, blind, deaf, restless, careless, fearless, sensible, generous,
    jealous, nervous, serious, ambitious, grumpy, thin, fat, tall, friendly, wild, dangerous, harmless, noisy, silent, homeless`),
  // Of things and places.
  adjective:
    list(`old, new, strange, secret, ancient, modern, broken, rusty, dusty, shiny, crooked, narrow, wide, hollow, heavy,
    light, soft, hard, sharp, smooth, round, square, empty, ugly, beautiful, lovely, plain, precious, cheap, useful, useless,
    ordinary, wonderful, terrible, mysterious, enchanted, forgotten, lost, hidden, quiet, painted, cracked, faded, tidy, dirty,
    clean, nameless, famous, dangerous, dark, bright, warm, cold, deep, steep, simple, curious, magic, borrowed, expensive`),
  size: list(`small, large, tiny, huge, little, big, narrow, enormous, low, high, long, short`),
  colour:
    list(`red, blue, green, yellow, white, black, grey, brown, golden, silver, purple, orange, pink, pale, dark, violet,
    crimson, turquoise`),
  skyColour: list(
    `grey, blue, clear, dark, pale, red, full of stars, full of clouds, heavy with rain, bright, white with snow`,
  ),
  material:
    list(`wooden, golden, silver, iron, copper, glass, stone, clay, leather, paper, brass, ivory, marble, velvet, silk,
    woollen, crystal, amber, tin, bronze, pewter, porcelain, linen`),
  house:
    list(`house, hut, cottage, castle, tower, mill, cabin, palace, inn, farm, cave, tent, barn, lighthouse, boat, cellar,
    attic, monastery, workshop, bakery, stable`),
  place:
    list(`market, forest, harbour, city, town, mountain, island, desert, garden, church, school, library, theatre, station,
    bridge, museum, lake, sea, waterfall, valley, meadow, orchard, vineyard, quarry, mine, cemetery, square, castle, hospital,
    factory, court, prison, village, swamp, beach, glacier, volcano, canyon, observatory, bakery, mill, shipyard, fair, circus,
    post office, town hall, railway, chapel, well, ruin`),
  place2: list(`place, spot, corner, landscape, region, neighbourhood`),
  village: list(`village, town, valley, island, street, market, harbour`),
  goal: list(`sea, city, mountain, desert, island, palace`),
  water: list(`river, lake, sea, stream, pond, canal, brook, spring, bay, marsh`),
  wood: list(`wood, forest, grove, park, jungle, thicket, wilderness`),
  hill: list(`hill, mountain, cliff, rock, slope, volcano, dune`),
  road: list(`road, street, path, lane, alley, track, avenue`),
  field: list(`field, meadow, garden, pasture, orchard, clearing, vineyard`),
  landmark:
    list(`church, mill, bridge, gate, tower, well, fountain, oak, statue, lighthouse, inn, clock, wall, chapel, windmill,
    market hall, town gate, milestone, signpost, cross`),
  thing:
    list(`key, ring, book, clock, watch, lamp, mirror, coin, letter, map, bell, flute, drum, violin, crown, sword, cup,
    spoon, button, needle, box, candle, picture, feather, stone, pearl, ball, kite, doll, whistle, compass, telescope, umbrella,
    pen, inkpot, puzzle, top, ribbon, comb, brush, bottle, jar, plate, chair, table, pillow, blanket, carpet, wheel, anchor,
    lantern, scarf, belt, mask, medal, seed, shell, bone, egg, magnet, lens, music box, chessboard, dice, stamp, thimble, necklace,
    bracelet, brooch, goblet, hourglass, globe, horn, harp, trumpet, bow, arrow, shield, saddle, rope, ladder`),
  tool: list(`hammer, saw, spade, rake, axe, knife, rope, ladder, bucket, broom, needle, net, hook, shovel, basket, lamp, wheel,
    barrow, drill, file, chisel, plough, sickle, scythe, oar, paddle, spanner, brush, candle, compass, stick, pump, kettle, anvil,
    bellows, pencil, ruler, thread`),
  container:
    list(`box, bag, basket, sack, chest, bottle, jar, pocket, suitcase, bucket, drawer, cupboard, trunk, barrel, purse,
    hat, pot, envelope, crate, rucksack`),
  pot: list(`pot, pan, bowl, kettle, dish, jug, cauldron`),
  clothing:
    list(`coat, hat, scarf, shirt, dress, jacket, apron, cloak, cap, glove, boot, shoe, sweater, skirt, belt, hood, vest,
    waistcoat, nightgown, raincoat, uniform`),
  plural:
    list(`stones, trees, houses, birds, flowers, stars, children, windows, doors, boats, books, apples, coins, candles,
    mushrooms, sheep, horses, clouds, leaves, shells, feathers, bells, bricks, barrels, buttons, letters, lamps, roofs, gates,
    wheels, roots, branches, islands, soldiers, fishes, frogs, butterflies, pigeons, bottles, nails, ropes, sails, bridges`),
  plural2:
    list(`apples, pears, plums, onions, carrots, potatoes, tomatoes, eggs, mushrooms, cherries, lemons, nuts, beans,
    beetroots, cucumbers, leeks, peppers, apricots, figs, chestnuts`),
  plant: list(`wheat, rye, barley, corn, cabbage, pumpkin, vine, clover, lavender, moss, ivy, fern, grass, bean, rose`),
  plantTree: list(
    `oak, beech, birch, pine, willow, elm, lime, maple, ash, fir, apple tree, pear tree, walnut tree, chestnut`,
  ),
  food: list(`bread, cheese, soup, porridge, honey, butter, fish, rice, cake, jam, nuts, berries, mushrooms, beans, noodles,
    cabbage, milk, bacon, dumplings, pancakes, stew, salad, pudding, biscuits, grapes, cream, mustard, sausages`),
  food2: list(`loaf of bread, piece of cheese, bowl of soup, pot of honey, slice of cake, bag of nuts, basket of apples,
    handful of berries, pear, apple, plum, onion, egg, fish, pie, pancake, sausage, melon, radish, pickle, bar of chocolate, bun,
    bunch of grapes, jar of jam`),
  drink: list(`tea, coffee, milk, wine, water, cider, soup, beer, cocoa, lemonade, broth`),
  drink2: list(`cup of tea, glass of wine, glass of water, cup of coffee, mug of milk, bottle of beer, jug of cider`),
  dish: list(`vegetable soup, apple pie, plum cake, mushroom stew, potato salad, fruit pudding, onion tart, bean soup,
    cherry jam, fish pie, nut bread`),
  ingredient:
    list(`salt, flour, sugar, butter, oil, vinegar, pepper, milk, cream, cheese, garlic, parsley, cinnamon, honey, rice,
    thyme, yeast, mustard, saffron, ginger`),
  stir: list(`stir well, stir slowly, cover it, do not stir, taste it, wait a little`),
  weather: list(`storm, rain, snow, fog, wind, hail, thunder, frost, flood, drought, blizzard, heat`),
  disaster: [
    "the storm came and took the roof of the {home}",
    "the flood came, and the {home} was full of water",
    "a fire broke out, and the {home} burned down",
    "the snow was so deep that the door of the {home} did not open",
    "the ground shook, and a wall of the {home} fell down",
    "lightning struck the {home}",
  ],
  weather2: list(`rainy, sunny, cloudy, windy, foggy, stormy, dry, snowy, icy, clear, wet, humid, mild`),
  temperature: list(`cold, warm, hot, cool, mild, icy, freezing, boiling`),
  season: list(`spring, summer, autumn, winter`),
  weekday: list(`Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday`),
  direction: list(`north, south, east, west, north-east, south-west`),
  side: list(`left, right`),
  sky: list(`sky, moon, sun, sea, night, world`),
  wind: list(`wind, breeze, air, gale, draught`),
  dayPart: list(`morning, noon, evening, midnight, sunrise, sunset, dawn, dusk`),
  dayPart2: list(`morning, day, evening, afternoon`),
  hour: list(`five, six, seven, eight, nine, half past six, a quarter to eight, ten`),
  time: [
    "one morning",
    "one evening",
    "one day",
    "one {temperature} night",
    "one {season}",
    "in the {season}",
    "on a {temperature} {weekday}",
    "at {dayPart}",
    "last {season}",
    "{few} years later",
    "the next morning",
    "on the {ordinal} day",
  ],
  number: list(`two, three, four, five, six, seven, eight, nine, ten, twelve, twenty, thirty, a hundred, a thousand`),
  few: list(`two, three, four, five, six, seven, eight, nine, ten`),
  count:
    list(`zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, fifteen,
    sixteen, seventeen, eighteen, nineteen, twenty`),
  ordinal: list(`first, second, third, fourth, fifth, sixth, seventh, tenth, last`),
  search:
    list(`under the bed, behind the door, in the garden, on the roof, in the cellar, under the stairs, in every drawer,
    behind the mirror, in the well, among the trees, at the bottom of the lake, between the pages of a book, in the ashes`),
  hidden: [
    "under {a adjective stone}",
    "behind {a adjective door}",
    "in {a adjective container}",
    "at the bottom of the {water}",
    "in the {adjective landmark}",
    "under the roots of {a plantTree}",
    "among the {plural}",
    "between two {plural}",
  ],
  stone: list(`stone, rock, brick, tile, log, leaf, root`),
  door: list(`door, curtain, wall, fence, hedge, stove, wardrobe`),
  knock: list(`knock, scratch, whisper, bang, tap`),
  idea: list(`idea, plan, dream, thought`),
  voice: list(`voice, smile, laugh, walk, cough`),
  hair: list(`black, brown, red, grey, white, curly, straight, long, short, golden`),
  damaged: list(`damaged, flooded, burned, covered, shaken, buried, frozen, ruined`),
  quiet: list(`quiet, still, bright, white, calm, silver, dry, silent`),
  noise: list(`sings, howls, whistles, barks, growls, hums, laughs, snores, croaks, whispers, hisses, squeaks`),
  work: list(`bake, build, dig, paint, sew, fish, hunt, harvest, plough, weave, swim, travel, cook, write, read, sleep, work, trade,
    mow, spin, forge, hammer, count the sheep, milk the cows, sweep the floor, ring the bell, mend the nets, cut the wood`),
  working:
    list(`baking, building, digging, painting, sewing, fishing, hunting, sweeping, reading, writing, singing, dancing,
    cooking, washing, chopping wood, picking berries, feeding the hens, mending a net, counting coins, sharpening a knife,
    watering the roses, polishing the windows, climbing a tree, sleeping, whistling`),
  can: list(`swim, fly, sing, dance, jump, climb, read, write, whistle, cook, run, hide, dive, count to a hundred, stand on one leg,
    walk on the roof, play the flute, tell the time, catch a fish, keep a secret, speak to the birds`),
  deed: list(`see the sea, build a ship, learn to fly, open a bakery, find the treasure, climb the mountain, write a book, sail
    round the world, cross the desert, marry the king, plant a forest, buy a horse, paint the moon, catch the wind`),
  did: list(`laughed, cried, sang, danced, waited, ran away, lit a candle, opened the window, closed the door, wrote a letter, dug a
    hole, planted a tree, counted to ten, shook hands, made a fire, boiled some water, drew a map, climbed the tower, rang the bell,
    sold the horse, hid the key, swept the floor, baked a cake, looked at the stars, told the truth, told a story, crossed the
    bridge, built a raft, fed the birds, mended the roof, followed the tracks, threw a stone, ate an apple, took a deep breath`),
  gesture: list(`laughed, smiled, nodded, shrugged, yawned, sighed, frowned, winked, coughed`),
  gesture2: list(
    `laughed, smiled, nodded, shrugged, yawned, sighed, winked, went home, shook hands, looked at the sky`,
  ),
  moved: list(
    `walked, ran, rode, sailed, climbed, wandered, hurried, crept, swam, marched, travelled, limped, rowed, flew`,
  ),
  movedAdverb: [
    "walked {adverb}",
    "ran {adverb}",
    "rode {adverb}",
    "went {adverb}",
    "climbed {adverb}",
    "hurried",
    "crept {adverb}",
    "wandered {adverb}",
  ],
  adverb:
    list(`slowly, quickly, quietly, bravely, carefully, secretly, happily, sadly, silently, alone, at once, calmly, barefoot,
    patiently, eagerly`),
  waited: list(
    `waited, listened, watched the stars, prayed, counted the hours, sat by the fire, kept watch, stood at the window`,
  ),
  path: list(`over the hills, through the forest, across the bridge, along the river, up the mountain, down the valley, past the
    mill, round the lake, under the arches, through the gate, across the fields, over the wall, along the coast, through the snow,
    up the stairs, down the well, past the cemetery, between the rocks`),
  result:
    list(`nothing happened, it did not work, it almost worked, the door stayed shut, the stone did not move, somebody laughed,
    the ground began to shake, a light went on, nobody came, the wall fell down, it was too late, the rope broke, the bell rang, it
    worked at last, a voice called out, the water turned to ice`),
  feeling:
    list(`happy, sad, tired, hungry, angry, afraid, proud, lonely, cold, surprised, worried, bored, curious, thirsty, sleepy,
    quiet, excited, ashamed, jealous, glad, puzzled, dizzy`),
  feelingBad: list(`sad, hungry, angry, afraid, lonely, cold, worried, bored, jealous, ashamed, late, poor`),
  exclamation: list(
    `Look, Help, Thief, Wait, Never, At last, What a wonder, I have found it, It is gone, Come here, Stop`,
  ),
  // animal | where it lives | what it eats | what it does | what it has
  animalFacts: [
    "fox|in the forest|mice and berries|barks at night|a bushy tail",
    "owl|in a hollow tree|mice|calls in the dark|large round eyes",
    "bear|in a cave|honey and fish|growls|thick brown fur",
    "wolf|in the forest|deer|howls at the moon|sharp teeth",
    "frog|by the pond|flies|croaks in the evening|long legs",
    "bee|in a hive|nectar|hums from flower to flower|a sting",
    "camel|in the desert|dry grass|walks for days without water|a hump",
    "whale|in the sea|tiny shrimps|sings under water|a huge tail",
    "penguin|on the ice|fish|swims like an arrow|short wings",
    "lion|in the grassland|zebras|roars at sunset|a golden mane",
    "cow|on the farm|grass|gives milk|two horns",
    "hen|on the farm|corn|lays eggs|brown feathers",
    "stork|on the roof|frogs|stands on one leg|a long red beak",
    "mole|under the ground|worms|digs tunnels|soft black fur",
    "squirrel|in the trees|nuts|jumps from branch to branch|a red tail",
    "spider|in the corner|flies|spins a web|eight legs",
    "beaver|by the river|bark|builds dams|a flat tail",
    "elephant|in the grassland|leaves and bark|never forgets|a long trunk",
    "snail|in the garden|lettuce|carries its house|two pairs of horns",
    "hedgehog|in the hedge|worms and beetles|rolls into a ball|a thousand spines",
    "salmon|in the river|small fish|swims against the stream|silver scales",
    "bat|in the cellar|moths|flies without seeing|thin wings",
    "tortoise|in the garden|salad|lives for a hundred years|a hard shell",
    "crocodile|in the swamp|anything that moves|waits without a sound|sixty teeth",
    "horse|in the stable|hay and oats|gallops across the field|strong legs",
    "cuckoo|in the wood|caterpillars|lays its eggs in other nests|grey feathers",
    "ant|in a hill of needles|seeds|carries more than it weighs|six legs",
    "otter|by the stream|fish|slides down the bank|webbed feet",
    "raven|in the old tower|everything|speaks if one teaches it|black feathers",
    "seal|on the rocks|fish|sleeps in the sun|round dark eyes",
  ],
};
