/** For `node --import`: this process has a node whose insides look different, as those of a later version may. */
if (!Reflect.deleteProperty(process, 'binding')) throw new Error('process.binding cannot be taken away');
