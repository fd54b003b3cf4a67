"""Checkpoints that survive, and files that are none."""
import resource
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsnet_mm.engine.checkpoints import WholeFileBackend, latest_checkpoint
from dsnet_mm.files import check_file

import pytest
import torch
from mmengine.optim import ConstantLR
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from trainings import differing, segmenter, train

SAFE = dict(default_hooks__checkpoint__type='dsnet_mm.SafeCheckpointHook')


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may be larger than so many bytes: a write fails in its middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope='module')
def trained(data_root, tmp_path_factory) -> Path:
    """The folder of a training of one epoch."""
    folder = tmp_path_factory.mktemp('trained')
    train(segmenter(data_root, folder, train_cfg__max_epochs=1, **SAFE))
    return folder


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    file, backend = tmp_path / 'sub/a.pth', WholeFileBackend()
    backend.put(b'first' * 1000, file)
    with full_disk(100), pytest.raises(OSError, match='File too large'):
        backend.put(b'second' * 1000, file)
    assert file.read_bytes() == b'first' * 1000 and len(list(file.parent.iterdir())) == 1
    backend.put(b'second' * 1000, str(file))
    assert file.read_bytes() == b'second' * 1000


@pytest.mark.parametrize('safe', [True, False])
def test_a_full_disk_leaves_a_checkpoint_to_resume_from(safe, data_root, tmp_path):
    options = dict(default_hooks__checkpoint__max_keep_ckpts=1, **(SAFE if safe else {}))
    hooks = dict(custom_hooks=[dict(type='dsnet_mm.StepSeedHook')], **options)
    expected = train(segmenter(data_root, tmp_path / 'whole', **hooks))
    folder = tmp_path / 'full'
    train(segmenter(data_root, folder, train_cfg__max_epochs=1, **hooks))
    before = (folder / 'epoch_1.pth').read_bytes()
    resumed = segmenter(data_root, folder, resume=True, **hooks)
    with full_disk(len(before) // 2), pytest.raises(OSError, match='File too large'):
        train(resumed)
    if not safe:  # the reason for the hook: the last checkpoint was deleted for the next
        assert [f.name for f in folder.glob('*.pth*')] == ['epoch_2.pth']
        with pytest.raises(ValueError, match='epoch_2.pth is cut off after'):
            check_file(folder / 'epoch_2.pth')
        return
    assert [f.name for f in folder.glob('*.pth*')] == ['epoch_1.pth']
    assert (folder / 'epoch_1.pth').read_bytes() == before
    assert latest_checkpoint(folder) == str(folder / 'epoch_1.pth')
    assert not differing(train(resumed), expected)


@pytest.mark.parametrize('part', [0, 1, 0.001, 0.3, 0.9, 0.9999])
def test_a_cut_off_file_is_no_checkpoint(part, trained, tmp_path):
    content = (trained / 'epoch_1.pth').read_bytes()
    file = tmp_path / 'cut.pth'
    file.write_bytes(content[:part if isinstance(part, int) else int(part * len(content))])
    with pytest.raises(ValueError, match=r'cut\.pth is (cut off after|no checkpoint)'):
        check_file(file)


def test_a_damaged_file_is_no_checkpoint(trained, tmp_path):
    """PyTorch loads it as if nothing had happened."""
    content = bytearray((trained / 'epoch_1.pth').read_bytes())
    place = len(content) // 2
    content[place:place + 64] = bytes(byte ^ 255 for byte in content[place:place + 64])
    file = tmp_path / 'damaged.pth'
    file.write_bytes(content)
    torch.load(file, weights_only=False)
    with pytest.raises(ValueError, match=r'damaged\.pth is damaged \(.*\): delete it'):
        check_file(file)


def test_files_of_other_programs_are_no_checkpoints(tmp_path):
    (tmp_path / 'text.pth').write_text('<html>404 Not Found</html>')
    with pytest.raises(ValueError, match="text.pth is no checkpoint.* begin with b'<htm'"):
        check_file(tmp_path / 'text.pth')
    with pytest.raises(FileNotFoundError, match='no checkpoint .*none.pth'):
        check_file(tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        check_file(tmp_path)


def test_whole_files_of_both_formats_are_checkpoints(trained, tmp_path):
    check_file(trained / 'epoch_1.pth')
    state = torch.load(trained / 'epoch_1.pth', weights_only=False)['state_dict']
    torch.save(state, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / 'old.pth')
    check_file(tmp_path / 'old.pth')
    check_file('https://example.com/model.pth')


def resnet(trained: Path) -> dict:
    return dict(state_dict={'layer.weight': torch.zeros(3)}, meta=dict(epoch=1, iter=3),
                optimizer={})


def without_optimizer(trained: Path) -> dict:
    checkpoint = torch.load(trained / 'epoch_1.pth', weights_only=False)
    del checkpoint['optimizer']
    return checkpoint


def wider(trained: Path) -> dict:
    checkpoint = torch.load(trained / 'epoch_1.pth', weights_only=False)
    checkpoint['state_dict']['decode_head.conv_seg.weight'] = torch.zeros(3, 64, 1, 1)
    return checkpoint


def deeper(trained: Path) -> dict:
    checkpoint = torch.load(trained / 'epoch_1.pth', weights_only=False)
    checkpoint['state_dict']['backbone.layer5.weight'] = torch.zeros(1)
    return checkpoint


@pytest.mark.parametrize('make, resume, message', [
    (resnet, False, r'other.pth is of another model.*\(layer.weight; the model has auxiliary'),
    (resnet, True, 'other.pth is of another model'),
    (lambda _: [1, 2], True, 'other.pth holds a list instead of a checkpoint'),
    (without_optimizer, True, 'cannot resume from .*other.pth, it has no optimizer'),
    (wider, True, r'cannot resume from .*other.pth.*\(decode_head.conv_seg.weight differ'),
    (deeper, True, r'cannot resume from .*other.pth.*\(backbone.layer5.weight differ')])
def test_what_is_of_another_model_is_refused(make, resume, message, trained, data_root, tmp_path):
    torch.save(make(trained), tmp_path / 'other.pth')
    cfg = segmenter(data_root, tmp_path, resume=resume, load_from=str(tmp_path / 'other.pth'),
                    **SAFE)
    with pytest.raises(ValueError, match=message):
        train(cfg)


def test_weights_of_a_model_without_a_resizer_are_welcome(trained, data_root, tmp_path):
    checkpoint = without_optimizer(trained)
    checkpoint['state_dict'] = {name: value for name, value in checkpoint['state_dict'].items()
                                if 'resizer' not in name}
    torch.save(checkpoint, tmp_path / 'plain.pth')
    runner = Runner.from_cfg(segmenter(data_root, tmp_path, load_from=str(tmp_path / 'plain.pth'),
                                       **SAFE))
    runner.load_or_resume()
    for name, value in checkpoint['state_dict'].items():
        assert torch.equal(runner.model.state_dict()[name], value)


def test_weights_fit_the_same_model_in_a_wrapper(trained, data_root, tmp_path):
    checkpoint = torch.load(trained / 'epoch_1.pth', weights_only=False)
    cfg = segmenter(data_root, tmp_path, load_from=str(trained / 'epoch_1.pth'), **SAFE)
    cfg.model = dict(type='SegTTAModel', module=cfg.model)
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    for name, value in runner.model.module.state_dict().items():
        assert torch.equal(value, checkpoint['state_dict'][name])


def test_the_latest_checkpoint_of_a_folder_moved_or_killed(trained, tmp_path):
    assert latest_checkpoint(tmp_path) is None
    folder = shutil.copytree(trained, tmp_path / 'moved')
    assert latest_checkpoint(folder) == str(folder / 'epoch_1.pth')
    (folder / 'epoch_2.pth').write_bytes(b'')
    (folder / 'best_mIoU_epoch_3.pth').write_bytes(b'')
    (folder / 'last_checkpoint').write_text('')
    assert latest_checkpoint(folder) == str(folder / 'epoch_2.pth')


def test_checkpoint_options_stay_mmengines(data_root, tmp_path):
    """Interval, names, best, publishing: the hook is mmengine's in all but how it writes."""
    options = dict(interval=2, by_epoch=False, max_keep_ckpts=3, save_best='mIoU',
                   rule='greater', filename_tmpl='step_{}.pth', published_keys=['state_dict'],
                   save_optimizer=False)
    found = {}
    for kind in ('CheckpointHook', 'dsnet_mm.SafeCheckpointHook'):
        folder = tmp_path / kind
        cfg = segmenter(data_root, folder, default_hooks__checkpoint=dict(type=kind, **options))
        cfg.train_cfg.val_interval = 1
        train(cfg)
        found[kind] = sorted(file.name.split('-')[0] for file in folder.glob('*.pth'))
        checkpoint = torch.load(next(folder.glob('best_*')), weights_only=False)
        assert any('resizer' in name for name in checkpoint['state_dict'])
        assert 'optimizer' not in torch.load(folder / 'step_8.pth', weights_only=False)
    first, second = found.values()
    assert first == second and 'step_9.pth' in first


INFO = dict(train_dataloader__dataset__metainfo=dict(info=dict(source='lab', years=[2020, 2021])))
SCHEDULERS = {
    'MultiStepLR': dict(type='MultiStepLR', milestones=[1, 2], gamma=0.1),
    'OneCycleLR': dict(type='OneCycleLR', eta_max=0.1, total_steps=3),
    'with a function': dict(type='SquareLR')}


@PARAM_SCHEDULERS.register_module()
class SquareLR(ConstantLR):
    """One of a user, whose state has a function that is no data."""

    def __init__(self, *args, **kwargs) -> None:
        self.square = lambda step: 1 / (1 + step**2)
        super().__init__(*args, factor=1., **kwargs)

    def _get_value(self) -> list[float]:
        return [value * self.square(self.last_step) for value in self.base_values]


@pytest.mark.parametrize('name', SCHEDULERS)
def test_a_training_resumes_from_what_it_saves(name, data_root, tmp_path):
    options = dict(param_scheduler=[SCHEDULERS[name]], **INFO, **SAFE,
                   custom_hooks=[dict(type='dsnet_mm.StepSeedHook'), dict(type='EMAHook')])
    expected = train(segmenter(data_root, tmp_path / 'whole', **options))
    resumed = segmenter(data_root, tmp_path / 'resumed', resume=True,
                        load_from=str(tmp_path / 'whole/epoch_2.pth'), **options)
    assert not differing(train(resumed), expected)


@pytest.mark.parametrize('where', ['metainfo', 'message hub'])
def test_what_would_not_load_ends_a_training_before_it_begins(where, data_root, tmp_path):
    runner = Runner.from_cfg(segmenter(data_root, tmp_path, **SAFE))
    if where == 'metainfo':
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.train_dataloader.dataset._metainfo['loader'] = open
        path = r"checkpoint\['meta'\]\['dataset_meta'\]\['loader'\]"
    else:
        runner.message_hub.update_info('mine', dict(a=[object()]))
        path = r"checkpoint\['message_hub'\]\['runtime_info'\]\['mine'\]\['a'\]\[0\]"
    with pytest.raises(TypeError, match=f'{path} is .* could not be loaded again'):
        runner.train()
    assert runner.iter == 0
